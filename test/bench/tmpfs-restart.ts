import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../support/package-root'
import { TestBroker } from '../support/test-broker'
import { measureRestart, type Restart } from './restart'

const claimer = path.join(packageRoot, 'dist/test/bench/claimer.js')
const prefix = 'bench/restart/'

const config = (directory: string) => `
[broker]
log_level = "info"
[[range]]
name = "main"
source = "directory"
path = "${directory}"
bytes = "4GiB"
table_bytes = "64MiB"
`

/** A broker killed and started again over so many allocations with a mapping each, whose holder is gone. */
export async function measureTmpfsRestart(claims: number): Promise<Restart> {
  const directory = mkdtempSync('/dev/shm/membroker-bench-')
  const broker = await TestBroker.start({ config: config(directory), directory, logLevel: 'info' })
  try {
    execFileSync(process.execPath, [claimer, broker.socket, 'fill', prefix, String(claims)])
    await broker.kill()
    const command = [process.execPath, ...broker.arguments()] as [string, ...string[]]
    const { figures, child, client } = await measureRestart(command, broker.socket, prefix)
    broker.process = child
    await client.close()
    if (figures.claims !== claims) throw new Error(`${figures.claims} of ${claims} were claimed`)
    return figures
  } finally {
    await broker.dispose()
    rmSync(directory, { recursive: true, force: true })
  }
}
