/** Proves that of thousands of bad pieces each is kept out of free memory, to the page, and nothing else is. */
import type { Extent } from '../../protocol/table'
import { ExtentAllocator } from '../../src/broker/allocator/extent-allocator'
import { apart } from '../../src/broker/allocator/extents'
import { PoisonLedger } from '../../src/broker/state/poison-ledger'
import { Seeded } from '../support/seeded'

const page = 4096
const pages = 20_000
const all = [{ offset: 0, length: pages * page }]
const each = Array.from({ length: pages }, (_, index) => ({ offset: index * page, length: page }))

/** The range as one flag per page; a page that is there twice shows as 2. */
function flagged(extents: Iterable<Extent>): Uint8Array {
  const flags = new Uint8Array(pages)
  for (const { offset, length } of extents)
    for (let index = offset / page; index < (offset + length) / page; index++) flags[index]!++
  return flags
}

const extentsOf = (bad: PoisonLedger) => bad.records.map(({ id, length }) => ({ offset: id, length }))

test('told in any order and often in part again, each page is known once, and the others stay free', () => {
  const random = new Seeded(7)
  const truth = new Uint8Array(pages)
  const bad = new PoisonLedger(new Map())
  const allocator = new ExtentAllocator({ bytes: pages * page, unit: page })
  for (let round = 0; round < 12; round++) {
    const told = apart(
      Array.from({ length: 500 }, () => {
        const length = 1 + random.below(3)
        return { offset: random.below(pages - length) * page, length: length * page }
      }),
    )
    const news = bad.add(told, 'kernel', 0)
    expect(flagged(news)).toEqual(flagged(told).map((flag, index) => flag & ~truth[index]!))
    for (const one of bad.in(news)) expect(allocator.withhold(one)).toBe(one.length)
    for (const { offset, length } of told) truth.fill(1, offset / page, (offset + length) / page)
  }
  expect(bad.records.length).toBeGreaterThan(3_000)
  const good = truth.map(flag => 1 - flag)
  expect(flagged(extentsOf(bad))).toEqual(truth)
  expect(flagged(allocator.freeExtents())).toEqual(good)
  for (const extents of [all, each]) {
    expect(flagged(bad.in(extents))).toEqual(truth)
    expect(flagged(bad.outOf(extents))).toEqual(good)
  }
})

test('a ledger with entries that overlap, as no broker writes it, keeps out all that they say', () => {
  const entries = [
    [0, 100],
    [10, 1],
    [50, 60],
    [200, 1],
  ] as const
  const record = (first: number, length: number) =>
    ({ id: first * page, length: length * page, seenAtMs: 0, origin: 'kernel' }) as const
  const bad = new PoisonLedger(
    new Map(entries.map(([first, length]) => [first * page, record(first, length)])),
  )
  const truth = new Uint8Array(pages).fill(1, 0, 110).fill(1, 200, 201)
  for (const extents of [all, each]) expect(flagged(bad.in(extents))).toEqual(truth)
})
