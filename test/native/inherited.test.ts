/**
 * Proves what the addon does with descriptors that this process was given by another: a listening socket is known as
 * one and made fit for an event loop, and writing to somebody's pipe never waits.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'
import { native } from '../../native'
import { runNow } from '../support/child'
import { checkFdLeaks, scratchDirectory } from './harness'

checkFdLeaks()
const directory = scratchDirectory()
const { O_NONBLOCK, O_RDWR, O_RDONLY, O_WRONLY } = require('node:fs')
  .constants as typeof import('node:fs').constants

const isBlocking = (fd: number) =>
  (Number.parseInt(/^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))![1]!, 8) &
    O_NONBLOCK) ===
  0

test('a listening Unix socket tells its path, by path or abstract, and everything else is EINVAL', () => {
  const file = path.join(directory, 'listening.sock')
  const abstract = `\0membroker-adopt-${process.pid}`
  const [byPath, byName] = [native.listenUnix(file, 1), native.listenUnix(abstract, 1)]
  const connected = native.socketPair()
  const plain = openSync(__filename, O_RDONLY)
  try {
    expect([native.adoptListener(byPath), native.adoptListener(byName)]).toEqual([file, abstract])
    expect(isBlocking(byPath)).toBe(false)
    for (const fd of [...connected, plain])
      expect(() => native.adoptListener(fd)).toThrow(expect.objectContaining({ code: 'EINVAL' }))
    expect(() => native.adoptListener(9999)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  } finally {
    for (const fd of [byPath, byName, ...connected, plain]) closeSync(fd)
  }
})

test('a pipe takes what it has room for and no more, stays a blocking one, and says when nobody reads', () => {
  const fifo = path.join(directory, 'pipe')
  runNow('mkfifo', [fifo])
  const reader = openSync(fifo, O_RDWR | O_NONBLOCK)
  const writer = openSync(fifo, O_WRONLY)
  const bytes = Buffer.alloc(10_000, 'x')
  let written = 0
  try {
    for (
      let count = native.writeNonblocking(writer, bytes);
      count > 0;
      count = native.writeNonblocking(writer, bytes)
    ) {
      expect(count).toBeLessThanOrEqual(4096)
      written += count
    }
    expect(written).toBeGreaterThanOrEqual(65536 - 4096)
    expect(native.writeNonblocking(writer, bytes)).toBe(0)
    expect(readSync(reader, Buffer.alloc(8192))).toBe(8192)
    expect(native.writeNonblocking(writer, bytes)).toBe(4096)
    expect(isBlocking(writer)).toBe(true)
  } finally {
    closeSync(reader)
  }
  // The other end is gone: nobody will ever read it.
  expect(() => native.writeNonblocking(writer, bytes)).toThrow(
    expect.objectContaining({ errno: -constants.errno.EPIPE }),
  )
  closeSync(writer)
  expect(() => native.writeNonblocking(writer, bytes)).toThrow(expect.objectContaining({ code: 'EBADF' }))
})
