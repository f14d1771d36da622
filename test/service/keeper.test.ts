/** Proves that the process with the fd store's copies is found behind a wrapper, and that without a trace it is the parent. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runNow } from '../support/child'
import { packageRoot } from '../support/package-root'

/** What a process says whose parent is a shell, and that shell's parent this one. */
function keeperSeenBy(socket: string): { keeper: number; parent: number } {
  const module = path.join(packageRoot, 'dist/src/broker/service/keeper.js')
  const script = `const { keeperOf } = require(${JSON.stringify(module)})
console.log(JSON.stringify({ keeper: keeperOf(${JSON.stringify(socket)}), parent: process.ppid }))`
  const args = ['-c', '"$0" -e "$1"; exit $?', process.execPath, script]
  return JSON.parse(runNow('sh', args))
}

test('the keeper is who has the socket open, also where a wrapper stands between', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-keeper-'))
  const socket = path.join(folder, 'notify.sock')
  const server = createServer()
  try {
    await new Promise<void>(resolve => server.listen(socket, resolve))
    const { keeper, parent } = keeperSeenBy(socket)
    expect(parent).not.toBe(process.pid)
    expect(keeper).toBe(process.pid)
    const unknown = keeperSeenBy(path.join(folder, 'nobody.sock'))
    expect(unknown.keeper).toBe(unknown.parent)
  } finally {
    server.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
