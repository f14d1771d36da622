/** Proves that the process with the fd store's copies is found behind a wrapper, and that without a trace it is the parent. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runNow } from '../support/child'
import { packageRoot } from '../support/package-root'

/** What a process says whose parent is a shell, and that shell's parent this one. */
function processSeenBy(socket: string): { found: number; parent: number } {
  const module = path.join(packageRoot, 'dist/src/broker/service/fd-store-process.js')
  const script = `const { fdStoreProcess } = require(${JSON.stringify(module)})
console.log(JSON.stringify({ found: fdStoreProcess(${JSON.stringify(socket)}), parent: process.ppid }))`
  const args = ['-c', '"$0" -e "$1"; exit $?', process.execPath, script]
  return JSON.parse(runNow('sh', args))
}

test('the process is who has the socket open, also where a wrapper stands between', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-store-'))
  const socket = path.join(folder, 'notify.sock')
  const server = createServer()
  try {
    await new Promise<void>(resolve => server.listen(socket, resolve))
    const { found, parent } = processSeenBy(socket)
    expect(parent).not.toBe(process.pid)
    expect(found).toBe(process.pid)
    const unknown = processSeenBy(path.join(folder, 'nobody.sock'))
    expect(unknown.found).toBe(unknown.parent)
  } finally {
    server.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
