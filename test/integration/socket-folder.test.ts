/**
 * Proves that a broker does not listen where somebody else could put a socket in its place, nor follow a link that
 * somebody put where its lock goes.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-socket-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function start(socket: string) {
  const main = path.join(packageRoot, 'dist/program/membrokerd.js')
  const memory = path.join(folder, 'memory')
  const args = [main, '--socket', socket, '--directory', memory, '--size', '16M']
  // It must end by itself: one that listens would be ended by the signal.
  return { ...attemptNow(process.execPath, args), memory }
}

test('a folder that others can write to is refused, and no memory is touched', () => {
  const open = path.join(folder, 'open')
  mkdirSync(open)
  chmodSync(open, 0o777)
  const { status, stderr, memory } = start(path.join(open, 'broker.sock'))
  expect(stderr).toContain('can be written to by other users')
  expect(status).toBe(1)
  expect(existsSync(memory)).toBe(false)
})

test('a link in the place of the lock is not followed', () => {
  const planted = path.join(folder, 'planted')
  symlinkSync(planted, path.join(folder, 'broker.sock.lock'))
  const { status, stderr, memory } = start(path.join(folder, 'broker.sock'))
  expect(stderr).toContain('ELOOP')
  expect(status).toBe(1)
  expect(existsSync(planted)).toBe(false)
  expect(existsSync(memory)).toBe(false)
})
