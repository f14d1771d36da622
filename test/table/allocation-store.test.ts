/** Proves that allocations kept as bytes are what a plain Map has, in bounded memory, also for whoever goes through them meanwhile. */
import {
  type AllocationRecord,
  AllocationStore,
  entityBytes,
  FieldReader,
  FieldWriter,
} from '../../protocol/table'
import { allocation, randomFrom, sampleIdentity } from './support/sample'

const context = { epoch: 3, bootEpoch: 2, rangeBytes: sampleIdentity.bytes }

const sized = (id: number, random: () => number): AllocationRecord =>
  allocation(id, { metadata: 'x'.repeat(Math.floor(random() ** 4 * 4096)), digest: null })

function check(store: AllocationStore, expected: ReadonlyMap<number, AllocationRecord>): void {
  expect([store.size, [...store.keys()]]).toEqual([expected.size, [...expected.keys()]])
  expect([...store.values()]).toEqual([...expected.values()])
  let bytes = 0
  for (const [id, record] of expected) {
    if (store.bytesOf(id) !== entityBytes('allocation', record))
      throw new Error(`${id}: ${store.bytesOf(id)}`)
    bytes += store.bytesOf(id)
  }
  expect(store.bytes).toBe(bytes)
}

test('through changes of every size and ends, it is what a Map is, and takes at most some two times its records', () => {
  const store = new AllocationStore(context)
  const expected = new Map<number, AllocationRecord>()
  const random = randomFrom(5)
  let most = 0
  for (let step = 0; step < 30_000; step++) {
    const id = 1 + Math.floor(random() * 1500)
    if (random() < 0.3) {
      expected.delete(id)
      store.delete(id)
    } else {
      const record = sized(id, random)
      expected.set(id, record)
      store.set(record)
    }
    if (step > 5000) most = Math.max(most, store.heldBytes / store.bytes)
    if (step % 10_000 === 0) check(store, expected)
  }
  check(store, expected)
  expect(most).toBeLessThan(2.6)
  expect(store.get(9_999)).toBeUndefined()
  for (const id of expected.keys()) store.delete(id)
  check(store, new Map())
  expect(store.heldBytes).toBeLessThanOrEqual(256 * 1024)
})

test('all records become larger again and again, and no room is lost to their former sizes', () => {
  const store = new AllocationStore(context)
  const count = 1000
  for (let length = 0; length < 640; length += 16)
    for (let id = 1; id <= count; id++) store.set(allocation(id, { metadata: 'x'.repeat(length) }))
  expect(store.heldBytes / store.bytes).toBeLessThan(2.6)
})

test.each([1, 2, 10, 100, 400])(
  '%i records change size again and again, beside none and beside many',
  count => {
    for (const others of [0, 20_000]) {
      const store = new AllocationStore(context)
      const expected = new Map<number, AllocationRecord>()
      const put = (record: AllocationRecord) => {
        store.set(record)
        expected.set(record.id, record)
      }
      for (let id = 1001; id <= 1000 + others; id++) put(allocation(id))
      const random = randomFrom(count)
      for (let step = 0; step < 5000; step++) {
        const id = 1 + Math.floor(random() * count)
        put(allocation(id, { metadata: 'x'.repeat(Math.floor(random() * 64)) }))
      }
      check(store, expected)
    }
  },
)

test('whoever goes through it sees what is added, and not what is deleted, however much moves meanwhile', () => {
  const store = new AllocationStore(context)
  for (let id = 1; id <= 4000; id++) store.set(allocation(id))
  const seen: number[] = []
  for (const { id } of store.values()) {
    seen.push(id)
    if (id > 4000) continue
    if (id % 2 === 1) store.delete(id + 1)
    store.set(allocation(id, { metadata: 'x'.repeat(id % 97) }))
    if (id % 100 === 1) store.set(allocation(10_000 + id))
  }
  const odd = Array.from({ length: 2000 }, (_, index) => 2 * index + 1)
  expect(seen).toEqual([...odd, ...odd.filter(id => id % 100 === 1).map(id => 10_000 + id)])
})

test('what its boot has made void is gone from the bytes too', () => {
  const [holder, successor] = [
    { pid: 1, start: 1 },
    { pid: 2, start: 2 },
  ]
  const written = new AllocationStore(context)
  written.set(allocation(1, { holder, successor }))
  const bytes = Buffer.alloc(written.bytesOf(1))
  written.copy(1, new FieldWriter(bytes))
  const kept = new AllocationStore(context)
  kept.set(allocation(1, { holder, successor }), new FieldReader(bytes))
  expect([kept.features, kept.bytes]).toEqual([written.features, written.bytes])
  expect(kept.features).not.toBe(0)

  const later = new AllocationStore({ ...context, epoch: 4, bootEpoch: 4 })
  const free = allocation(1, { holder: null, successor: null })
  later.set(free, new FieldReader(bytes))
  expect([later.features, later.bytes]).toEqual([0, entityBytes('allocation', free)])
  // So many that it is not one of the records that are still there as objects.
  for (let id = 2; id <= 3000; id++) later.set(allocation(id, { holder: null, successor: null }))
  expect(later.get(1)).toEqual(free)
})
