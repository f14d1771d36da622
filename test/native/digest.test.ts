/** Proves that digests are BLAKE3, whatever way they are computed, of exactly the bytes asked for. */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'
import { Digest, native } from '../../native'
import { checkFdLeaks, runChild, scratchDirectory } from './harness'

checkFdLeaks()
const directory = scratchDirectory()
const { EFAULT, EINVAL, ECANCELED, EBADF } = constants.errno
const KiB = 1 << 10
const MiB = 1 << 20

/** The input of BLAKE3's published test vectors: the bytes 0 to 250, over and over. */
function pattern(bytes: number): Buffer {
  return Buffer.alloc(bytes, Buffer.from(Array.from({ length: 251 }, (_, index) => index)))
}

function memory(bytes: Buffer): number {
  const fd = native.memfdCreate('digest', { hugePageBytes: 0, allowSealing: true })
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
  return fd
}

async function digest(fd: number, offset: number, length: number, threads = 2): Promise<string | number> {
  const job = new Digest(fd, offset, length, threads)
  const errno = await job.errno
  return errno === 0 ? job.hash()!.toString('hex') : errno
}

/** Of pattern(); what the reference program (b3sum) says. */
const known: Array<[number, string]> = [
  [1024, '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
  [1025, 'd00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444'],
  [2048, 'e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a'],
  [4096, '015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969'],
  [31744, '62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47'],
  [102400, 'bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085'],
  [1048576, '74cb441fd087764ca9c3694da742ebe30cbeb3060a17009ca81825c7a8d10343'],
  [1048577, '2f053cd7472cf0cd2f9adaf45c1180255b91b9a865404a63671a0ee5f792ed33'],
  [3149824, '7fccb7aaf400b59fefa9d8bc397b3a3bf3fc77012698d4930824f0a10cb5f391'],
  [7777777, '7475e12581f92a51bb37dd7e7f14be497e21a1240f4df11be3bca2e292aa19e1'],
]

test.each(known)(
  '%i bytes have the BLAKE3 that everybody else computes, however it is done',
  async (bytes, hash) => {
    // Proves that every instruction set, both ways to the bytes, and any number of threads give the standard's result.
    const input = pattern(bytes)
    for (const lanes of [1, 4, 8, 16]) expect(native.blake3(input, lanes).toString('hex')).toBe(hash)
    const fd = memory(input)
    for (const threads of [1, 3]) expect(await digest(fd, 0, bytes, threads)).toBe(hash)
    closeSync(fd)
  },
)

test('nothing at all, and "abc"', () => {
  // Proves the ends of the scale against the values of the specification.
  expect(native.blake3(Buffer.alloc(0)).toString('hex')).toBe(
    'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
  )
  expect(native.blake3(Buffer.from('abc')).toString('hex')).toBe(
    '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85',
  )
})

test('a digest is of the extent asked for: any byte, its place and the length count', async () => {
  // Proves that a change of one bit, a swap of two pages and a shorter extent all show.
  const bytes = pattern(3 * MiB + 64 * KiB)
  const fd = memory(bytes)
  const before = await digest(fd, 4096, 3 * MiB)
  expect(before).toBe(native.blake3(bytes.subarray(4096, 4096 + 3 * MiB)).toString('hex'))
  expect(await digest(fd, 4096, 3 * MiB - 4096)).not.toBe(before)
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, 2 * MiB + 77)
  writeSync(fd, Buffer.from([byte[0]! ^ 1]), 0, 1, 2 * MiB + 77)
  expect(await digest(fd, 4096, 3 * MiB)).not.toBe(before)
  writeSync(fd, byte, 0, 1, 2 * MiB + 77)
  expect(await digest(fd, 4096, 3 * MiB)).toBe(before)
  writeSync(fd, bytes, 8192, 4096, 12288)
  writeSync(fd, bytes, 12288, 4096, 8192)
  expect(await digest(fd, 4096, 3 * MiB)).not.toBe(before)
  closeSync(fd)
})

test('holes of a file are read as zeros and stay holes', async () => {
  // Proves that looking at a sparse allocation does not fill the host's memory.
  const fd = native.memfdCreate('digest', { hugePageBytes: 0, allowSealing: true })
  ftruncateSync(fd, 64 * MiB)
  expect(await digest(fd, 0, 64 * MiB)).toBe(native.blake3(Buffer.alloc(64 * MiB)).toString('hex'))
  expect(fstatSync(fd).blocks).toBe(0)
  closeSync(fd)
})

test('what is not a file is mapped', async () => {
  // Proves the way to devices, on the one that every machine has.
  const fd = openSync('/dev/zero', 'r')
  expect(await digest(fd, 0, 2 * MiB)).toBe(native.blake3(Buffer.alloc(2 * MiB)).toString('hex'))
  closeSync(fd)
})

test('a file that is too short ends it with -EFAULT, and is no bad memory', async () => {
  // Proves that a client that resizes its file is not taken for broken hardware.
  const fd = memory(pattern(MiB))
  const job = new Digest(fd, 0, 2 * MiB, 2)
  expect(await job.errno).toBe(-EFAULT)
  expect(job.bad()).toEqual([])
  expect(job.hash()).toBeUndefined()
  closeSync(fd)
})

test('cancel ends it early, and what can not begin says why', async () => {
  const fd = native.memfdCreate('digest', { hugePageBytes: 0, allowSealing: true })
  ftruncateSync(fd, 64 * 1024 * MiB)
  const job = new Digest(fd, 0, 64 * 1024 * MiB, 1)
  job.cancel()
  expect(await job.errno).toBe(-ECANCELED)
  expect(job.bytesDone()).toBeLessThan(64 * 1024 * MiB)
  expect(await digest(fd, 0, 0)).toBe(-EINVAL)
  expect(await digest(999_999, 0, 4096)).toBe(-EBADF)
  closeSync(fd)
})

test('a file on disk too', async () => {
  const bytes = pattern(MiB + 4096)
  const fd = openSync(path.join(directory, 'disk'), 'w+')
  writeSync(fd, bytes)
  expect(await digest(fd, 4096, MiB)).toBe(native.blake3(bytes.subarray(4096)).toString('hex'))
  closeSync(fd)
})

test('a process that ends in the middle of it ends in order', () => {
  // Proves that threads of a digest do not outlive what they read.
  const { status, signal } = runChild(`
    const fd = addon.memfdCreate('digest', { hugePageBytes: 0, allowSealing: true })
    fs.ftruncateSync(fd, 2 ** 36)
    new addon.Digest(fd, 0, 2 ** 36, 2)
    setTimeout(() => process.exit(0), 20)`)
  expect([status, signal]).toEqual([0, null])
})
