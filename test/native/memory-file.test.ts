/**
 * Proves that memory files are sealed, locked, reserved and emptied as the broker needs, that the lease tells a
 * sole opener, and that a watch over a directory has a notice of each write.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { native, Window } from '../../native'
import { attemptNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { packageRoot } from '../support/package-root'
import { checkFdLeaks, childArguments, runChild, scratchDirectory } from './harness'

checkFdLeaks()
const directory = scratchDirectory()
const memory = { hugePageBytes: 0, allowSealing: true }
const [seal, shrink, grow, write] = [1, 2, 4, 8] as const

const code = (name: string) => expect.objectContaining({ name: 'SystemError', code: name })

test('a memfd is close-on-exec, has mode 0600, and takes seals that hold', () => {
  const fd = native.memfdCreate('sealed', memory)
  expect(fstatSync(fd).mode & 0o777).toBe(0o600)
  expect(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')).toMatch(/flags:\s+\d*2\d{6}\b/)
  ftruncateSync(fd, 4096)
  native.addSeals(fd, shrink | grow)
  expect(native.getSeals(fd)).toBe(shrink | grow)
  expect(() => ftruncateSync(fd, 0)).toThrow('EPERM')
  const window = new Window(fd, 0, 4096, true)
  expect(() => native.addSeals(fd, write)).toThrow(code('EBUSY'))
  window.revoke()
  native.addSeals(fd, write | seal)
  expect(() => native.addSeals(fd, shrink)).toThrow(code('EPERM'))
  const plain = native.memfdCreate('plain', { ...memory, allowSealing: false })
  expect(native.getSeals(plain)).toBe(seal)
  closeSync(plain)
  closeSync(fd)
})

test("a memfd that another uid holds read-only can't be reopened writable by it", () => {
  const fd = native.memfdCreate('private', memory)
  const readOnly = native.reopen(fd, false)
  const script = (flags: string) => `
    try { fs.openSync('/proc/self/fd/3', '${flags}'); console.log('open') } catch (error) { console.log(error.code) }`
  const { stdout } = attemptNow(process.execPath, childArguments(script('r+')), {
    fds: [readOnly],
    uid: 65534,
    gid: 65534,
  })
  expect(stdout.trim()).toBe('EACCES')
  closeSync(readOnly)
  closeSync(fd)
})

test('memfdCreate refuses what is no page size', () => {
  expect(() => native.memfdCreate('x', { hugePageBytes: 3 << 20, allowSealing: true })).toThrow(
    code('EINVAL'),
  )
  expect(() => native.memfdCreate('x', { hugePageBytes: 1 << 13, allowSealing: true })).toThrow()
  expect(() => native.memfdCreate('x', {} as never)).toThrow('hugePageBytes')
})

test('fallocate reserves, punchHole gives back, and a full or read-only file is a named error', async () => {
  const fd = native.memfdCreate('space', memory)
  await native.fallocate(fd, 0, 1 << 20)
  expect(fstatSync(fd)).toMatchObject({ size: 1 << 20, blocks: 2048 })
  await native.punchHole(fd, 0, 1 << 19)
  expect(fstatSync(fd)).toMatchObject({ size: 1 << 20, blocks: 1024 })
  const readOnly = native.reopen(fd, false)
  await expect(native.fallocate(readOnly, 0, 1)).rejects.toMatchObject({
    code: 'EBADF',
    syscall: 'fallocate',
  })
  await expect(native.fallocate(999_999, 0, 1)).rejects.toMatchObject({ code: 'EBADF' })
  await expect(native.fallocate(fd, 0, 0)).rejects.toMatchObject({ code: 'EINVAL' })
  closeSync(readOnly)
  // The descriptor may be closed before the thread pool gets to it.
  const early = native.fallocate(fd, 0, 2 << 20)
  closeSync(fd)
  await early
})

test('one lock per file: a second open file description is refused until the first is closed', () => {
  const file = path.join(directory, 'locked')
  const first = openSync(file, 'w+')
  const second = openSync(file, 'w+')
  native.lockFile(first)
  native.lockFile(first)
  expect(() => native.lockFile(second)).toThrow(code('EAGAIN'))
  const { status } = runChild(
    `process.exit(-addon.lockFile(fs.openSync(${JSON.stringify(file)}, 'r+'), 0, 0))`,
  )
  expect(status).toBe(11)
  closeSync(first)
  native.lockFile(second)
  closeSync(second)
})

test('locks of parts of a file exclude each other where they overlap', () => {
  const file = path.join(directory, 'locked-parts')
  const [first, second] = [openSync(file, 'w+'), openSync(file, 'w+')]
  const far = 2 ** 40
  native.lockFile(first, far, 4096)
  native.lockFile(second, far + 4096, 4096)
  expect(() => native.lockFile(second, far - 1, 2)).toThrow(code('EAGAIN'))
  expect(() => native.lockFile(second)).toThrow(code('EAGAIN'))
  for (const fd of [first, second]) closeSync(fd)
})

test('a file that the kernel could write has no write error', () => {
  const fd = openSync(path.join(directory, 'settled'), 'w')
  writeSync(fd, 'x')
  expect(native.takeWriteError(fd)).toBeUndefined()
  closeSync(fd)
  expect(native.takeWriteError(fd)).toMatchObject({ code: 'EBADF' })
})

test('a watch over a directory has a notice of each write, and none of a file that only appears', () => {
  const watched = native.watchWrites(directory)
  const buffer = Buffer.alloc(1024)
  const fd = openSync(path.join(directory, 'written'), 'w')
  expect(() => readSync(watched, buffer)).toThrow('EAGAIN')
  writeSync(fd, 'x')
  expect(buffer.toString('latin1', 16, readSync(watched, buffer))).toMatch(/^written\0+$/)
  for (const one of [fd, watched]) closeSync(one)
  expect(() => native.watchWrites(path.join(directory, 'written'))).toThrow(code('ENOTDIR'))
})

describe.each(['/dev/shm', directory, 'memfd'])('isSoleOpener on %s', place => {
  function open(): number {
    if (place !== 'memfd') {
      const file = path.join(place, `membroker-sole-${process.pid}`)
      const fd = openSync(file, 'w+')
      rmSync(file)
      return fd
    }
    const fd = native.memfdCreate('sole', memory)
    const own = native.reopen(fd, true)
    closeSync(fd)
    return own
  }

  test('is true alone, and false while any other descriptor or mapping lives', () => {
    const fd = open()
    ftruncateSync(fd, 4096)
    expect(native.isSoleOpener(fd)).toBe(true)
    for (const writable of [true, false]) {
      const other = native.reopen(fd, writable)
      expect(native.isSoleOpener(fd)).toBe(false)
      const window = new Window(other, 0, 4096, writable)
      closeSync(other)
      expect(native.isSoleOpener(fd)).toBe(false)
      window.revoke()
      expect(native.isSoleOpener(fd)).toBe(true)
    }
    closeSync(fd)
    expect(() => native.isSoleOpener(fd)).toThrow(code('EBADF'))
  })
})

test('somebody who opens the file during the question does not kill the asking process', () => {
  const file = path.join(directory, 'raced')
  const { status, signal } = runChild(`
    const { spawn } = require('node:child_process')
    const file = ${JSON.stringify(file)}
    const fd = fs.openSync(file, 'w+')
    const opener = spawn(process.execPath, ['-e', \`
      const fs = require('node:fs')
      for (;;) fs.closeSync(fs.openSync(\${JSON.stringify(file)}, 'r+'))\`])
    const seen = new Set()
    const end = Date.now() + 60_000
    const ask = () => {
      for (let count = 0; count < 1000; count++) seen.add(addon.isSoleOpener(fd))
      if (Date.now() < end && seen.size < 2) return setImmediate(ask)
      for (let count = 0; count < 100000; count++) addon.isSoleOpener(fd)
      opener.kill('SIGKILL')
      process.exit(seen.has(0) && seen.has(1) ? 0 : 3)
    }
    ask()`)
  expect([status, signal]).toEqual([0, null])
})

test('the checksum is CRC32C, by the processor and without it, at every length and in pieces', () => {
  expect(native.crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
  // RFC 3720, B.4.
  expect(native.crc32c(Buffer.alloc(32))).toBe(0x8a9136aa)
  expect(native.crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43)
  expect(native.crc32c(Buffer.alloc(0))).toBe(0)
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, index) => (index * 37) & 0xff))
  for (let begin = 0; begin < 9; begin++) {
    for (let end = begin; end <= bytes.length; end++) {
      const part = bytes.subarray(begin, end)
      const crc = native.crc32c(part)
      expect(native.crc32cPortable(part)).toBe(crc)
      expect(native.crc32c(part.subarray(3), native.crc32c(part.subarray(0, 3)))).toBe(crc)
    }
  }
})

// The kernel keeps that sysctl for each pid namespace; before Linux 6.3 there is none.
const withSysctl =
  needsRoot('a pid namespace with a sysctl of its own') && existsSync('/proc/sys/vm/memfd_noexec')
    ? test
    : test.skip

withSysctl('a memfd that stays writable has no seal against execution, whatever the sysctl says', () => {
  const script = `
    const { native } = require(process.argv[1])
    const fd = native.memfdCreate('stays', { hugePageBytes: 0, allowSealing: true, staysWritable: true })
    process.stdout.write(String(native.getSeals(fd)))`
  const inside = `echo 1 >/proc/sys/vm/memfd_noexec && exec "$0" -e "$1" "$2"`
  const addon = path.join(packageRoot, 'dist/native')
  const { stdout, stderr } = attemptNow('unshare', [
    ...['--pid', '--fork', '--mount-proc', 'sh', '-c', inside, process.execPath, script, addon],
  ])
  expect({ stdout, stderr }).toEqual({ stdout: '0', stderr: '' })
})
