/** Proves that stores into a table reach its file, and that memory that vanishes is an error and no crash. */
import { closeSync, ftruncateSync, readSync } from 'node:fs'
import { constants } from 'node:os'
import { native, TableMap } from '../../native'
import { sealEntry } from '../../protocol/table'
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

/** What the stores are made from and by. entryBytes: of the entry that bytes begins with. */
function stage(
  table: TableMap,
  bytes: Uint8Array,
): (stores: readonly number[], entryBytes?: number) => number {
  const storesMax = 4
  const area = table.stage(storesMax, bytes.length) as ArrayBuffer
  const plan = new Float64Array(area, 0, 2 + 3 * storesMax)
  Buffer.from(area, plan.byteLength).set(bytes)
  return (stores, entryBytes = 0) => {
    plan.set([stores.length / 3, entryBytes, ...stores])
    return table.storeAll()
  }
}

test('several stores are made in their order, up to the one that fails', () => {
  const fd = memfd(pageBytes)
  const table = new TableMap(fd, 0, pageBytes)
  const bytes = Buffer.from(Array.from({ length: 32 }, (_, index) => index + 1))
  const good = [8, 8, 16, 0, 0, 0, 64, 24, 0]
  expect([table.storeAll(), table.stored]).toEqual([-EINVAL, 0])
  const storeAll = stage(table, bytes)
  expect(storeAll(good)).toBe(0)
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
      expect([storeAll(stores), table.stored]).toEqual([-error, made])
      const some = new TableMap(fd, 0, pageBytes)
      const found = some.read(0, pageBytes)
      some.write(0, Buffer.alloc(72))
      stage(some, bytes)(good.slice(0, 3 * made))
      expect(found).toEqual(some.read(0, pageBytes))
      some.close()
    }
  expect(storeAll(good)).toBe(0)
  expect(table.read(0, pageBytes)).toEqual(before)
  const plan = new Float64Array(table.stage(4, 8) as ArrayBuffer, 0, 14)
  for (const [count, entryBytes] of [
    [5, 0],
    [-1, 0],
    [Number.NaN, 0],
    [1, 9],
    [1, -1],
    [1, Number.POSITIVE_INFINITY],
  ]) {
    plan.set([count!, entryBytes!, 0, 0, 8])
    expect([table.storeAll(), table.stored]).toEqual([-ERANGE, 0])
  }
  expect(table.read(0, pageBytes)).toEqual(before)
  table.close()
  plan.set([1, 0, 0, 0, 8])
  expect([table.storeAll(), table.stored]).toEqual([-EBADF, 0])
  closeSync(fd)
})

test('an entry gets the CRC that its format wants, before it is stored', () => {
  const fd = memfd(pageBytes)
  const table = new TableMap(fd, 0, pageBytes)
  for (let words = 1; words < 60; words++) {
    const bytes = Buffer.from(Array.from({ length: 512 }, (_, index) => (index * 37 + words) % 256))
    expect(stage(table, bytes)([0, 0, 512], 8 * words)).toBe(0)
    sealEntry(bytes, 8 * words)
    expect(table.read(0, 512)).toEqual(bytes)
  }
  table.close()
  closeSync(fd)
})

test('a stage is as large as there is memory, and takes the place of the one before', () => {
  const fd = memfd(pageBytes)
  const table = new TableMap(fd, 0, pageBytes)
  const storeAll = stage(table, Buffer.alloc(8, 1))
  for (const [stores, bytes] of [
    [1, 2 ** 31],
    [2 ** 40, 8],
    [Number.MAX_SAFE_INTEGER, 0],
  ] as const)
    expect(table.stage(stores, bytes)).toBe(-constants.errno.ENOMEM)
  expect(() => table.stage(1, -1)).toThrow('an integer')
  // What was refused has changed nothing.
  expect(storeAll([0, 0, 8])).toBe(0)
  const next = stage(table, Buffer.alloc(16, 2))
  expect([next([0, 8, 8]), storeAll([8, 0, 8])]).toEqual([0, 0])
  expect(table.read(0, 16)).toEqual(Buffer.from([...Array(8).fill(2), ...Array(8).fill(0)]))
  table.close()
  closeSync(fd)
})

test('a stage lives as long as the table or a view of it does, whichever goes first', () => {
  const { status, signal, stdout } = runChild(
    `
    const fd = addon.memfdCreate('t', { hugePageBytes: 0, allowSealing: true })
    fs.ftruncateSync(fd, 4096)
    const map = () => new addon.TableMap(fd, 0, 4096)
    const kept = []
    const table = map()
    const wait = () => new Promise(resolve => setTimeout(resolve, 1))
    const go = async () => {
      for (let round = 0; round < 200; round++) {
        const bytes = new Uint8Array(map().stage(1, 1 << 20)).fill(round)
        if (round % 20 === 0) kept.push([bytes, round])
        const area = table.stage(1, 8)
        new Float64Array(area, 0, 5).set([1, 0, 0, 0, 8])
        new Uint8Array(area, 40).fill(round)
        if (round % 2) structuredClone(area, { transfer: [area] })
        globalThis.gc()
        if (round % 20 === 0) await wait()
        if (table.storeAll() !== 0 || table.read(0, 8).some(byte => byte !== round)) throw new Error('lost ' + round)
      }
      for (const [bytes, round] of kept) if (bytes.some(byte => byte !== round)) throw new Error('changed ' + round)
      console.log('whole')
    }
    go()`,
    { flags: ['--expose-gc'] },
  )
  expect([status, signal, stdout]).toEqual([0, null, 'whole\n'])
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
