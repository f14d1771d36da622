/**
 * Kills the database while it writes, and starts it again in both ways: node restart.js [KEYS]
 * Needs a running broker. Exit code 1 when a record that was said to be written is not there.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { connect } from 'membroker'

interface Found {
  milliseconds: number
  keys: number
  wrong: number
  /** Of the records written more than once. */
  versions: Record<string, number>
}

const program = path.join(__dirname, 'database.js')
const writesBeforeKill = 1000

/** Returns the last write of each key that the database said was done. */
async function fillAndKill(keys: number, snapshot: string): Promise<Map<string, number>> {
  const child = spawn(process.execPath, [program, 'fill', String(keys), snapshot], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  const written = new Map<string, number>()
  for await (const line of createInterface(child.stdout)) {
    // The last line may have been cut off by the kill.
    if (!line.endsWith('}')) break
    const { key, version } = JSON.parse(line) as { key?: string; version: number }
    if (key !== undefined) written.set(key, version)
    if (version === writesBeforeKill) child.kill('SIGKILL')
  }
  const [, signal] = await exit
  if (signal !== 'SIGKILL') throw new Error('the database ended before it was killed')
  return written
}

const start = (...args: string[]) =>
  JSON.parse(
    execFileSync(process.execPath, [program, ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 }),
  ) as Found

async function main(keys: number): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-database-'))
  const snapshot = path.join(folder, 'snapshot')
  try {
    const written = await fillAndKill(keys, snapshot)
    const opened = start('open')
    const loaded = start('load', snapshot)
    for (const found of [opened, loaded])
      if (found.keys !== keys || found.wrong > 0)
        throw new Error(`${found.keys} of ${keys} keys, ${found.wrong} wrong`)
    const lost = [...written].filter(([key, version]) => (opened.versions[key] ?? 0) < version)
    if (lost.length > 0) throw new Error(`${lost.length} records that were written are not there`)
    const megabytes = Math.round(statSync(snapshot).size / 1e6)
    console.log(`${keys} keys, ${megabytes} MB; killed after ${written.size} more writes, none of them lost
from the start of the process to the first answer:
  memory of the broker, found as it was  ${opened.milliseconds.toFixed(0).padStart(6)} ms
  a snapshot, loaded                     ${loaded.milliseconds.toFixed(0).padStart(6)} ms, without those writes`)
  } finally {
    const broker = await connect()
    const claimed = await broker.claim('example/database')
    for (const mapping of claimed.mappings) await mapping.close()
    await claimed.allocation.release()
    await broker.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

main(Number(process.argv[2] ?? 1_000_000)).catch((error: Error) => {
  console.error(`restart: ${error.message}`)
  process.exit(1)
})
