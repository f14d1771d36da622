/** Proves that stores into a table reach its file, and that memory that vanishes is an error and no crash. */
import { closeSync, ftruncateSync, readSync } from 'node:fs'
import { constants } from 'node:os'
import { native, TableMap } from '../../native'
import { addonFile, checkFdLeaks, childOutput, runChild } from './harness'

checkFdLeaks()
const { EFAULT, ERANGE, EBADF, EINVAL } = constants.errno
const pageBytes = 4096

function memfd(bytes: number): number {
  const fd = native.memfdCreate('table', { hugePageBytes: 0, allowSealing: true })
  ftruncateSync(fd, bytes)
  return fd
}

test("write, publish and read are the file's bytes", () => {
  const fd = memfd(2 * pageBytes)
  const table = new TableMap(fd, pageBytes, pageBytes)
  expect(table.errno).toBe(0)
  expect(table.write(16, Buffer.from('payload'))).toBe(0)
  expect(table.publish(8, 0xdeadbeef, 0x01020304)).toBe(0)
  const bytes = Buffer.alloc(32)
  readSync(fd, bytes, 0, 32, pageBytes)
  expect(bytes.readUInt32LE(8)).toBe(0xdeadbeef)
  expect(bytes.readUInt32LE(12)).toBe(0x01020304)
  expect(bytes.toString('latin1', 16, 23)).toBe('payload')
  expect(table.read(0, 32)).toEqual(bytes)
  expect(table.read(pageBytes, 0)).toEqual(Buffer.alloc(0))
  table.close()
  closeSync(fd)
})

test('several stores are made in their order, up to the one that fails', () => {
  const fd = memfd(pageBytes)
  const table = new TableMap(fd, 0, pageBytes)
  const bytes = Buffer.from(Array.from({ length: 32 }, (_, index) => index + 1))
  const good = [8, 8, 16, 0, 0, 0, 64, 24, 0]
  expect(table.storeAll(bytes, Float64Array.from(good))).toBe(0)
  expect(table.stored).toBe(3)
  const expected = Buffer.alloc(72)
  bytes.copy(expected, 0, 0, 24)
  bytes.copy(expected, 64, 24, 32)
  expect(table.read(0, 72)).toEqual(expected)

  const before = table.read(0, pageBytes)
  for (const [bad, error] of [
    [[pageBytes, 0, 8], ERANGE],
    [[4, 0, 0], EINVAL],
    [[0, 28, 0], ERANGE],
    [[0, 0, 33], ERANGE],
    [[-8, 0, 8], EINVAL],
    [[Number.NaN, 0, 8], EINVAL],
  ] as const)
    for (let made = 0; made < 3; made++) {
      expect(table.write(0, Buffer.alloc(72))).toBe(0)
      const stores = [...good.slice(0, 3 * made), ...bad, ...good.slice(3 * made)]
      expect([table.storeAll(bytes, Float64Array.from(stores)), table.stored]).toEqual([-error, made])
      const some = new TableMap(fd, 0, pageBytes)
      const found = some.read(0, pageBytes)
      some.write(0, Buffer.alloc(72))
      some.storeAll(bytes, Float64Array.from(good.slice(0, 3 * made)))
      expect(found).toEqual(some.read(0, pageBytes))
      some.close()
    }
  expect(table.storeAll(bytes, Float64Array.from(good))).toBe(0)
  expect(table.read(0, pageBytes)).toEqual(before)
  expect(() => table.storeAll(bytes, Buffer.alloc(24) as never)).toThrow('a Float64Array')
  table.close()
  expect([table.storeAll(bytes, Float64Array.from(good)), table.stored]).toEqual([-EBADF, 0])
  closeSync(fd)
})

test('nothing outside the mapping is touched, and nothing after close', () => {
  const fd = memfd(2 * pageBytes)
  const table = new TableMap(fd, 0, pageBytes)
  expect(table.read(pageBytes - 4, 5)).toBe(-ERANGE)
  expect(table.read(Number.MAX_SAFE_INTEGER, 8)).toBe(-ERANGE)
  expect(table.write(pageBytes - 1, Buffer.alloc(2))).toBe(-ERANGE)
  expect(table.publish(pageBytes - 4, 0, 0)).toBe(-ERANGE)
  expect(table.publish(4, 0, 0)).toBe(-EINVAL)
  expect(() => table.read(-1, 4)).toThrow('integer')
  expect(() => table.publish(0, -1, 0)).toThrow('integer')
  table.close()
  table.close()
  expect(table.read(0, 1)).toBe(-EBADF)
  expect(table.write(0, Buffer.alloc(1))).toBe(-EBADF)
  expect(table.publish(0, 1, 1)).toBe(-EBADF)
  expect(new TableMap(fd, 1, pageBytes).errno).toBe(-EINVAL)
  expect(new TableMap(999_999, 0, pageBytes).errno).toBe(-EBADF)
  closeSync(fd)
})

test('a table truncated under its map is -EFAULT, again and again, and good once it is whole again', () => {
  const fd = memfd(4 * pageBytes)
  const table = new TableMap(fd, 0, 4 * pageBytes)
  for (let round = 0; round < 50; round++) {
    expect(table.write(2 * pageBytes, Buffer.from('x'))).toBe(0)
    ftruncateSync(fd, pageBytes)
    expect(table.read(0, 2 * pageBytes)).toBe(-EFAULT)
    expect(table.write(2 * pageBytes, Buffer.from('x'))).toBe(-EFAULT)
    expect(table.publish(3 * pageBytes, 1, 2)).toBe(-EFAULT)
    expect(table.read(0, pageBytes)).toBeInstanceOf(Uint8Array)
    ftruncateSync(fd, 4 * pageBytes)
    expect((table.read(2 * pageBytes, 1) as Buffer)[0]).toBe(0)
  }
  table.close()
  closeSync(fd)
})

test('faults on several threads at once are each caught on their own', () => {
  const output = childOutput(
    `
    const { Worker, isMainThread, workerData, parentPort } = require('node:worker_threads')
    const source = \`
      const { workerData, parentPort } = require('node:worker_threads')
      const addon = require(workerData.addon)
      const table = new addon.TableMap(workerData.fd, 0, 8192)
      let faults = 0, good = 0
      for (let count = 0; count < 20000; count++) {
        const where = count % 2 ? 4096 : 0
        const result = table.write(where, Buffer.from([count]))
        if (result === -14 && where) faults++
        if (result === 0 && !where) good++
      }
      table.close()
      parentPort.postMessage([faults, good])
    \`
    const fd = addon.memfdCreate('t', { hugePageBytes: 0, allowSealing: true })
    fs.ftruncateSync(fd, 4096)
    const all = []
    for (let index = 0; index < 4; index++) {
      new Worker(source, { eval: true, workerData: { fd, addon: ${JSON.stringify('ADDON')} } }).on('message', m => {
        all.push(m)
        if (all.length === 4) console.log(JSON.stringify(all))
      })
    }`.replace('"ADDON"', JSON.stringify(addonFile)),
  )
  expect(JSON.parse(output)).toEqual(Array(4).fill([10_000, 10_000]))
})

test('a SIGBUS that another process sends is not taken for a fault of ours', () => {
  const { status, signal } = runChild(`
    const fd = addon.memfdCreate('t', { hugePageBytes: 0, allowSealing: true })
    const table = new addon.TableMap(fd, 0, 4096)
    table.read(0, 8)
    process.kill(process.pid, 'SIGBUS')
    setTimeout(() => process.exit(7), 1000)`)
  expect([status, signal]).toEqual(
    process.env.MEMBROKER_ADDON ? [expect.any(Number), null] : [null, 'SIGBUS'],
  )
})
