/** Proves that the database of docs/example/database loses no write when it is killed, and opens what is there. */
import path from 'node:path'
import { Store, StoreFull } from '../../docs/example/database/store'
import { run } from '../support/child'
import { packageRoot } from '../support/package-root'
import { TestBroker } from '../support/test-broker'

const value = (text: string) => Buffer.from(text)

test('killed in the middle of writing, it starts with every write that it had answered', async () => {
  const broker = await TestBroker.start()
  try {
    const program = path.join(packageRoot, 'dist/docs/example/database/restart.js')
    const environment = { ...process.env, MEMBROKER_SOCKET: broker.socket }
    const stdout = await run(process.execPath, [program, '5000'], { env: environment })
    expect(stdout).toMatch(/^5000 keys, \d+ MB; killed after \d+ more writes, none of them lost\n/)
    expect(stdout.match(/\d+ ms/g)).toHaveLength(2)
  } finally {
    await broker.dispose()
  }
})

test('what is killed between any two stores to memory opens with the old value or the new', () => {
  // Every state that memory can be in while one record is written, made by stopping before the n-th store.
  const changed = (stop: number, memory: Buffer): boolean => {
    const store = Store.open(memory, 16)
    let left = stop
    const real = { store: Atomics.store, add: Atomics.add }
    const counted =
      (call: typeof Atomics.store) =>
      (...args: Parameters<typeof Atomics.store>) => {
        if (left-- === 0) throw new Error('killed')
        return call(...args)
      }
    Object.assign(Atomics, { store: counted(real.store), add: counted(real.add as typeof Atomics.store) })
    try {
      store.set('new', value('2'))
      store.set('old', value('2'))
      store.delete('gone')
      return true
    } catch {
      return false
    } finally {
      Object.assign(Atomics, real)
    }
  }
  let stops = 0
  for (let done = false; !done; stops++) {
    const memory = Buffer.from(new ArrayBuffer(8192))
    const before = Store.open(memory, 16)
    before.set('old', value('1'))
    before.set('gone', value('1'))
    done = changed(stops, memory)
    const after = Store.open(memory, 0)
    const found = ['new', 'old', 'gone'].map(key => after.get(key)?.toString())
    expect([
      [undefined, '1', '1'],
      ['2', '1', '1'],
      ['2', '2', '1'],
      ['2', '2', undefined],
    ]).toContainEqual(found)
    after.set('later', value('3'))
    expect(after.get('later')).toEqual(value('3'))
    expect([...after.entries()].map(([key]) => key).sort()).toEqual(
      ['gone', 'later', 'new', 'old'].filter(key => key === 'later' || after.get(key) !== undefined),
    )
  }
  expect(stops).toBeGreaterThan(9)
})

test('it takes what it has room for, and refuses the rest with everything as before', () => {
  const memory = Buffer.from(new ArrayBuffer(8192))
  const store = Store.open(memory, 16)
  const keys = Array.from({ length: 12 }, (_, index) => `key ${index}`)
  for (const key of keys) store.set(key, value(key))
  expect(() => store.set('one more', value(''))).toThrow(StoreFull)
  expect(() => store.set(keys[0]!, Buffer.alloc(8192))).toThrow(StoreFull)
  const again = Store.open(memory, 0)
  for (const key of keys) expect(again.get(key)).toEqual(value(key))
  memory.writeUInt32LE(7, 0)
  expect(() => Store.open(memory, 16)).toThrow(RangeError)
})
