/** Proves that a window is the file's memory, and that a revoke empties it safely at any moment. */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  write,
  writeSync,
} from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'
import { native, Window } from '../../native'
import { runNow } from '../support/child'
import { needsHugePages } from '../support/needs-huge-pages'
import { checkFdLeaks, childOutput, runChild, scratchDirectory } from './harness'

checkFdLeaks()
const directory = scratchDirectory()
const { EINVAL, EFBIG, EBADF, EACCES } = constants.errno
const pageBytes = 4096
const hugeBytes = 2 << 20

function memfd(bytes: number): number {
  const fd = native.memfdCreate('window', { hugePageBytes: 0, allowSealing: true })
  ftruncateSync(fd, bytes)
  return fd
}

const mapsOf = (name: string) =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter(line => line.includes(name))

test("a window is the file's memory: what either side writes the other reads", () => {
  const fd = memfd(4 * pageBytes)
  const window = new Window(fd, pageBytes, 2 * pageBytes, true)
  expect(window.errno).toBe(0)
  const bytes = Buffer.from(window.buffer)
  expect(bytes.length).toBe(2 * pageBytes)
  bytes.write('from the window', 0)
  const copy = Buffer.alloc(15)
  readSync(fd, copy, 0, 15, pageBytes)
  expect(copy.toString()).toBe('from the window')
  writeSync(fd, 'from the file', 2 * pageBytes)
  expect(bytes.toString('latin1', pageBytes, pageBytes + 13)).toBe('from the file')
  expect(mapsOf(`${window.address.toString(16)}-`)).toHaveLength(1)
  window.revoke()
  closeSync(fd)
})

test("what can't be mapped is a negative errno and an empty buffer", () => {
  const fd = memfd(pageBytes)
  const cases: Array<[number, number, number, number]> = [
    [fd, 0, 0, -EINVAL],
    [fd, 1, pageBytes, -EINVAL],
    [fd, 0, 4 * 1024 ** 3 + 1, -EFBIG],
    [999_999, 0, pageBytes, -EBADF],
  ]
  for (const [file, offset, length, errno] of cases) {
    const window = new Window(file, offset, length, true)
    expect([window.errno, window.buffer.byteLength]).toEqual([errno, 0])
    window.revoke()
  }
  const readOnly = native.reopen(fd, false)
  expect(new Window(readOnly, 0, pageBytes, true).errno).toBe(-EACCES)
  expect(() => new Window(fd, 0.5, pageBytes, true)).toThrow('integer')
  closeSync(readOnly)
  closeSync(fd)
})

test('the largest window, 4 GiB, reaches its last byte', () => {
  const length = 4 * 1024 ** 3
  const fd = memfd(length)
  const window = new Window(fd, 0, length, true)
  expect(window.errno).toBe(0)
  new Uint8Array(window.buffer, length - 8, 8).fill(7)
  const copy = Buffer.alloc(1)
  readSync(fd, copy, 0, 1, length - 1)
  expect(copy[0]).toBe(7)
  window.revoke()
  closeSync(fd)
})

test('revoke empties every view, unmaps the file at once, and may be repeated', () => {
  const fd = memfd(2 * pageBytes)
  const window = new Window(fd, 0, 2 * pageBytes, true)
  const buffer = window.buffer
  const view = Buffer.from(buffer, 100, 10)
  const words = new BigUint64Array(buffer)
  expect(mapsOf('memfd:window')).toHaveLength(1)
  window.revoke()
  expect([buffer.byteLength, view.length, words.length]).toEqual([0, 0, 0])
  expect(mapsOf('memfd:window')).toHaveLength(0)
  expect(window.buffer).toBe(buffer)
  expect(window.address).toBe(0n)
  window.revoke()
  // Nothing is mapped writable any more: the kernel itself agrees.
  native.addSeals(fd, 0x8)
  closeSync(fd)
})

test('file writes in flight from a window that is revoked end well, with its bytes or with zeros', async () => {
  const length = 8 << 20
  const target = openSync(path.join(directory, 'target'), 'w')
  for (let round = 0; round < 20; round++) {
    const fd = memfd(length)
    const window = new Window(fd, 0, length, true)
    const bytes = Buffer.from(window.buffer).fill(0xa5)
    // More than the thread pool runs at once, so that some begin after the revocation.
    const writes = Array.from({ length: 8 }, () => {
      return new Promise<number>((resolve, reject) =>
        write(target, bytes, 0, length, 0, (error, written) => (error ? reject(error) : resolve(written))),
      )
    })
    await new Promise(resolve => setTimeout(resolve, round % 4))
    window.revoke()
    expect(await Promise.all(writes)).toEqual(writes.map(() => length))
    closeSync(fd)
  }
  closeSync(target)
  const written = readFileSync(path.join(directory, 'target'))
  expect(written.every(byte => byte === 0xa5 || byte === 0)).toBe(true)
})

test('a revoked range is kept while a write from it is in flight, and given back when nothing holds it', () => {
  const fifo = path.join(directory, 'fifo')
  runNow('mkfifo', [fifo])
  const output = childOutput(
    `
    const pipe = fs.openSync(${JSON.stringify(fifo)}, 'r+')
    const fd = addon.memfdCreate('w', { hugePageBytes: 0, allowSealing: true })
    const length = 1 << 20
    fs.ftruncateSync(fd, length)
    let address
    const mapped = () => fs.readFileSync('/proc/self/maps', 'utf8').split('\\n').some(line => {
      const [begin, end] = line.split(' ')[0].split('-').map(text => BigInt('0x' + (text || '0')))
      return begin <= address && address < end
    })
    const done = new Promise(resolve => {
      const window = new addon.Window(fd, 0, length, true)
      address = window.address
      const bytes = Buffer.from(window.buffer).fill(1)
      // A pipe takes 64 KiB and then blocks the thread, in the middle of the window.
      fs.write(pipe, bytes, 0, length, null, (error, written) => resolve(written))
      setTimeout(() => window.revoke(), 50)
    })
    setTimeout(async () => {
      for (let count = 0; count < 5; count++) { gc(); await new Promise(setImmediate) }
      const during = mapped()
      const drain = Buffer.alloc(length)
      let got = 0
      const read = () => fs.read(pipe, drain, 0, length, null, (error, count) => {
        got += count
        if (got < length) read()
      })
      read()
      const written = await done
      for (let count = 0; count < 200 && mapped(); count++) { gc(); await new Promise(r => setTimeout(r, 5)) }
      console.log(JSON.stringify({ during, written, got, after: mapped() }))
    }, 150)`,
    { flags: ['--expose-gc'] },
  )
  expect(JSON.parse(output)).toEqual({ during: true, written: 1 << 20, got: 1 << 20, after: false })
})

test('windows that nobody holds any more release their mappings', () => {
  const output = childOutput(
    `
    const fd = addon.memfdCreate('collected', { hugePageBytes: 0, allowSealing: true })
    fs.ftruncateSync(fd, 1 << 20)
    const count = () => fs.readFileSync('/proc/self/maps', 'utf8').split('memfd:collected').length - 1
    let kept
    void (function () {
      for (let index = 0; index < 100; index++) {
        const window = new addon.Window(fd, 0, 1 << 20, true)
        // Of one only the buffer is kept, and its memory must stay.
        if (index === 50) kept = Buffer.from(window.buffer)
      }
    })()
    kept[0] = 9
    const most = count()
    ;(async () => {
      for (let round = 0; round < 200 && count() > 1; round++) { gc(); await new Promise(r => setTimeout(r, 5)) }
      console.log(JSON.stringify({ most: most > 1, left: count(), byte: kept[0] }))
    })()`,
    { flags: ['--expose-gc'] },
  )
  expect(JSON.parse(output)).toEqual({ most: true, left: 1, byte: 9 })
})

if (needsHugePages('windows on hugetlbfs'))
  test('windows on huge pages: memfd and hugetlbfs, also where the length is not a whole page', () => {
    const mount = path.join(directory, 'huge')
    mkdirSync(mount)
    runNow('mount', ['-t', 'hugetlbfs', '-o', 'pagesize=2M', 'none', mount])
    try {
      const memory = native.memfdCreate('huge', { hugePageBytes: hugeBytes, allowSealing: true })
      const file = openSync(path.join(mount, 'file'), 'w+')
      for (const fd of [memory, file]) {
        ftruncateSync(fd, 2 * hugeBytes)
        const window = new Window(fd, hugeBytes, hugeBytes - pageBytes, true)
        expect(window.errno).toBe(0)
        Buffer.from(window.buffer).fill(3)
        expect(new Window(fd, pageBytes, hugeBytes, true).errno).toBe(-EINVAL)
        window.revoke()
        const again = new Window(fd, hugeBytes, hugeBytes, false)
        expect(Buffer.from(again.buffer)[hugeBytes - pageBytes - 1]).toBe(3)
        again.revoke()
        expect(mapsOf('huge')).toEqual([])
        closeSync(fd)
      }
      rmSync(path.join(mount, 'file'))
    } finally {
      runNow('umount', [mount])
    }
  })

test("a fault that is nobody's to catch still ends the process by SIGBUS", () => {
  const { signal } = runChild(`
    const fd = addon.memfdCreate('w', { hugePageBytes: 0, allowSealing: true })
    fs.ftruncateSync(fd, 8192)
    const table = new addon.TableMap(fd, 0, 8192)
    const window = new addon.Window(fd, 0, 8192, true)
    fs.ftruncateSync(fd, 0)
    if (table.read(0, 8) !== -14) process.exit(3)
    Buffer.from(window.buffer)[4096]`)
  // The sanitizers report it themselves and exit.
  expect(signal).toBe(process.env.MEMBROKER_ADDON ? null : 'SIGBUS')
})
