/**
 * Proves that scrubbing zeroes every byte of an extent and no other, and ends in order whatever happens to the
 * file.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'
import { native, Scrub } from '../../native'
import { runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { Disk } from '../vm/disk'
import { checkFdLeaks, scratchDirectory } from './harness'

checkFdLeaks()
const directory = scratchDirectory()
const { EFAULT, EINVAL, EACCES, ECANCELED, EBADF } = constants.errno
const MiB = 1 << 20

function filled(bytes: number): number {
  const fd = native.memfdCreate('scrub', { hugePageBytes: 0, allowSealing: true })
  const piece = Buffer.alloc(MiB, 0xee)
  for (let offset = 0; offset < bytes; offset += MiB)
    writeSync(fd, piece, 0, Math.min(MiB, bytes - offset), offset)
  return fd
}

function bytesOf(fd: number): Buffer {
  const bytes = Buffer.alloc(fstatSync(fd).size)
  readSync(fd, bytes, 0, bytes.length, 0)
  return bytes
}

test.each([1, 2, 7])('every byte of the extent becomes zero and no other, with %i threads', async threads => {
  const fd = filled(16 * MiB + 8192)
  const length = 11 * MiB + 4096 + 123
  const scrub = new Scrub(fd, 4096, length, threads)
  expect(await scrub.errno).toBe(0)
  expect(scrub.bytesDone()).toBe(length)
  const bytes = bytesOf(fd)
  const zeros = Buffer.alloc(length)
  expect(bytes.subarray(4096, 4096 + length).equals(zeros)).toBe(true)
  expect(bytes.subarray(0, 4096).every(byte => byte === 0xee)).toBe(true)
  expect(bytes.subarray(4096 + length).every(byte => byte === 0xee)).toBe(true)
  closeSync(fd)
})

test('a file truncated under the scrub ends it with -EFAULT', async () => {
  const fd = filled(32 * MiB)
  ftruncateSync(fd, 8 * MiB)
  const scrub = new Scrub(fd, 0, 32 * MiB, 2)
  expect(await scrub.errno).toBe(-EFAULT)
  expect(scrub.bytesDone()).toBeLessThanOrEqual(8 * MiB)
  await expect(native.scrub(fd, 0, 32 * MiB)).rejects.toMatchObject({ code: 'EFAULT', syscall: 'scrub' })
  closeSync(fd)
})

test('cancel ends it early with -ECANCELED', async () => {
  const fd = native.memfdCreate('scrub', { hugePageBytes: 0, allowSealing: true })
  // Holes are quick, and a processor may be taken away before the cancel.
  const bytes = 16 * 2 ** 40
  ftruncateSync(fd, bytes)
  const scrub = new Scrub(fd, 0, bytes, 1)
  scrub.cancel()
  expect(await scrub.errno).toBe(-ECANCELED)
  expect(scrub.bytesDone()).toBeLessThan(bytes / 8)
  scrub.cancel()
  closeSync(fd)
})

test('the descriptor may be closed at once, and the handle forgotten', async () => {
  const fd = filled(8 * MiB)
  const copy = native.dupFd(fd)
  const { errno } = new Scrub(fd, 0, 8 * MiB, 2)
  closeSync(fd)
  expect(await errno).toBe(0)
  expect(bytesOf(copy).every(byte => byte === 0)).toBe(true)
  closeSync(copy)
})

test("what can't be mapped for writing is a negative errno", async () => {
  const fd = filled(MiB)
  const readOnly = native.reopen(fd, false)
  expect(await new Scrub(fd, 1, 4096, 1).errno).toBe(-EINVAL)
  expect(await new Scrub(fd, 0, 0, 1).errno).toBe(-EINVAL)
  expect(await new Scrub(readOnly, 0, 4096, 1).errno).toBe(-EACCES)
  expect(await new Scrub(999_999, 0, 4096, 1).errno).toBe(-EBADF)
  closeSync(readOnly)
  closeSync(fd)
})

test('holes stay holes', async () => {
  const onDisk = openSync(path.join(directory, 'holes'), 'w+')
  const inMemory = native.memfdCreate('scrub', { hugePageBytes: 0, allowSealing: true })
  for (const fd of [onDisk, inMemory]) {
    ftruncateSync(fd, 16 * MiB)
    for (const offset of [0, 5 * MiB + 4096, 6 * MiB - 4096])
      writeSync(fd, Buffer.alloc(8192, 0xee), 0, 8192, offset)
    fsyncSync(fd)
    const { blocks } = fstatSync(fd)
    await native.scrub(fd, 0, 16 * MiB, 2)
    expect(bytesOf(fd).every(byte => byte === 0)).toBe(true)
    expect(fstatSync(fd).blocks).toBe(blocks)
    closeSync(fd)
  }
})

if (needsRoot('a filesystem of its own'))
  test('blocks that read as zeros and hold what was there before are overwritten, on the disk itself', async () => {
    const image = path.join(directory, 'image')
    const disk = Disk.make(image)
    try {
      const file = path.join(disk.folder, 'cleared')
      const secret = Buffer.alloc(4096, 'what a tenant had ')
      writeFileSync(file, Buffer.concat(Array(256).fill(secret)))
      runNow('sync', ['--file-system', file])
      expect(readFileSync(image).includes(secret)).toBe(true)
      runNow('fallocate', ['--zero-range', '--offset', '0', '--length', String(MiB), file])
      runNow('sync', ['--file-system', file])
      expect(readFileSync(image).includes(secret)).toBe(true)
      const fd = openSync(file, 'r+')
      await native.scrub(fd, 0, MiB, 2)
      closeSync(fd)
      expect(readFileSync(image).includes(secret)).toBe(false)
    } finally {
      disk.dispose()
    }
  })

/** Write operations that the disk of a file has ended. */
function writesOf(file: string): number {
  const { dev } = statSync(file)
  const numbers = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`
  return Number(readFileSync(`/sys/dev/block/${numbers}/stat`, 'utf8').trim().split(/\s+/)[4])
}

if (needsRoot('a filesystem of its own'))
  test('the disk of a file in pieces does not write each of them by itself', async () => {
    const disk = Disk.make(path.join(directory, 'pieces'))
    try {
      const file = path.join(disk.folder, 'pieces')
      runNow('fallocate', ['--length', String(16 * MiB), file])
      const fd = openSync(file, 'r+')
      const pieces = 2048
      for (let piece = 0; piece < pieces; piece++)
        writeSync(fd, Buffer.alloc(4096, 0xee), 0, 4096, piece * 8192)
      runNow('sync', ['--file-system', file])
      const before = writesOf(file)
      await native.scrub(fd, 0, 16 * MiB, 2)
      expect(writesOf(file) - before).toBeLessThan(pieces / 8)
      expect(bytesOf(fd).every(byte => byte === 0)).toBe(true)
      closeSync(fd)
    } finally {
      disk.dispose()
    }
  })

test('a file on disk too', async () => {
  const fd = openSync(path.join(directory, 'disk'), 'w+')
  writeSync(fd, Buffer.alloc(MiB, 1))
  await native.scrub(fd, 0, MiB, 2)
  expect(bytesOf(fd).every(byte => byte === 0)).toBe(true)
  closeSync(fd)
})
