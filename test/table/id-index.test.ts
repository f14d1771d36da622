/** Proves that an index of ids in typed arrays is what a Map is, also for whoever goes through it meanwhile. */
import { IdIndex } from '../../protocol/table/id-index'
import { randomFrom } from './support/sample'

/** Ids as a broker gives them, ids after an unreadable range (see Inventory.leapIds), and the limits. */
const idsOf: Record<string, (random: () => number) => number> = {
  'ascending from 1': random => 1 + Math.floor(random() * 3000),
  'from the year 2026': random => 1_795_000_000_000 * 1024 + Math.floor(random() * 3000),
  'with the same low words': random => Math.floor(random() * 3000) * 2 ** 32,
  'far apart': random => Math.floor(random() * 3000) * 2 ** 21,
  'at the limit': random => Number.MAX_SAFE_INTEGER - Math.floor(random() * 3000),
}

test.each(Object.entries(idsOf))('ids %s: it has what a Map has, in its order', (_, idOf) => {
  const random = randomFrom(7)
  const index = new IdIndex()
  const expected = new Map<number, number>()
  for (let step = 0; step < 60_000; step++) {
    const id = idOf(random)
    // Grows, stays, shrinks to nothing, and grows again.
    if (random() < [0.2, 0.5, 0.95][Math.floor(step / 5000) % 3]!) {
      expected.delete(id)
      index.delete(id)
    } else {
      expected.set(id, step)
      index.set(id, step)
    }
    if (index.get(id) !== expected.get(id) || index.has(id) !== expected.has(id))
      throw new Error(`step ${step}`)
    if (step % 999 === 0) expect([index.size, [...index.pairs()]]).toEqual([expected.size, [...expected]])
  }
  for (const id of expected.keys()) expect(index.get(id)).toBe(expected.get(id))
  expect([...index.keys()]).toEqual([...expected.keys()])
})

test('whoever goes through it comes to what is added, and not to what is deleted, however often it is rebuilt', () => {
  const random = randomFrom(11)
  for (let round = 0; round < 60; round++) {
    const index = new IdIndex()
    const expected = new Map<number, number>()
    const change = (times: number, deletes: number) => {
      for (let step = 0; step < times; step++) {
        const id = Math.floor(random() * 500)
        if (random() < deletes) {
          expected.delete(id)
          index.delete(id)
        } else {
          expected.set(id, step)
          index.set(id, step)
        }
      }
    }
    change(300, 0.1)
    const walks = Array.from({ length: 4 }, () => [index.pairs(), expected.entries()] as const)
    for (let step = 0; step < 2000; step++) {
      const [ours, theirs] = walks[Math.floor(random() * walks.length)]!
      const [found, wanted] = [ours.next(), theirs.next()]
      if (found.done !== wanted.done || String(found.value) !== String(wanted.value))
        throw new Error(`round ${round}, step ${step}: ${found.value} instead of ${wanted.value}`)
      change(Math.floor(random() * 8), [0.3, 0.5, 0.8][round % 3]!)
    }
  }
})
