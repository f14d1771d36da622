/**
 * Proves that what was answered is kept and nothing else is made up, whenever the broker is killed: processes allocate,
 * map, write, grow, shrink, discard, revoke and release at random, the broker and they themselves are killed at random moments, and
 * after each restart everything is compared with the account of what was answered.
 *
 * MEMBROKER_ROUNDS sets how many rounds, MEMBROKER_SEED repeats the operations of a run; its moments are the machine's.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Allocation } from '../../protocol/generated/broker'
import { leaksNothing } from '../support/leaks-nothing'
import { type Known, RandomWorker } from '../support/random-worker'
import { Seeded } from '../support/seeded'
import { TestBroker, until } from '../support/test-broker'

const rounds = Number(process.env.MEMBROKER_ROUNDS ?? 200)
const seed = Number(process.env.MEMBROKER_SEED ?? Date.now() % 1_000_000)
const MiB = 2 ** 20
let broker: TestBroker

afterEach(() => broker.dispose())

/** A worker's memory is what its account says; unanswered operations have happened or have not. */
function compare(known: Known, allocation: Allocation): void {
  const { attempt } = known
  const sizes =
    attempt?.kind === 'grow' || attempt?.kind === 'shrink' ? [known.bytes, attempt.bytes] : [known.bytes]
  expect(sizes).toContain(allocation.bytes)
  const turns = attempt?.kind === 'describe' ? [known.turn, attempt.turn] : [known.turn]
  expect(turns).toContain((allocation.metadata as { turn?: number } | null)?.turn)
  const memory = readFileSync(path.join(broker.directory, `alloc-${allocation.id}`))
  expect(memory.length).toBe(allocation.bytes)
  if (known.filledBytes >= 0 && attempt?.kind !== 'map') {
    const wanted = Buffer.alloc(allocation.bytes)
    wanted.fill(known.value, 0, Math.min(known.filledBytes, allocation.bytes))
    expect(memory.equals(wanted)).toBe(true)
  }
}

/** From here on what is there is what is known. */
function adopt(known: Known, allocation: Allocation): void {
  if (known.attempt?.kind === 'map') known.filledBytes = -1
  known.attempt = undefined
  known.bytes = allocation.bytes
  known.filledBytes = Math.min(known.filledBytes, allocation.bytes)
  known.turn = (allocation.metadata as { turn?: number } | null)?.turn
}

async function verify(workers: RandomWorker[]): Promise<void> {
  const client = broker.client()
  const {
    ranges: [range],
  } = await client.call('ListRanges', {})
  expect(range).toMatchObject({ state: 'online', reason: null })
  const { freeBytes, allocatedBytes, quarantinedBytes, scrubbingBytes, bytes } = range!
  expect(freeBytes + allocatedBytes + quarantinedBytes + scrubbingBytes).toBe(bytes)

  const { allocations, next } = await client.call('ListAllocations', {})
  expect(next).toBeNull()
  const extents = allocations.flatMap(allocation => allocation.extents).sort((a, b) => a.offset - b.offset)
  for (const [index, extent] of extents.entries()) {
    const end = index === 0 ? 0 : extents[index - 1]!.offset + extents[index - 1]!.length
    expect(extent.offset).toBeGreaterThanOrEqual(end)
  }
  expect(extents.reduce((sum, { length }) => sum + length, 0)).toBe(allocatedBytes)

  await until(async () => (await client.call('GetStatus', {})).retired.length === 0, 'nothing is retired')
  expect(readdirSync(broker.directory).sort()).toEqual(
    ['lock', 'table', ...allocations.map(({ id }) => `alloc-${id}`)].sort(),
  )

  const byName = new Map(allocations.map(allocation => [allocation.name, allocation]))
  for (const { known } of workers)
    for (const [name, item] of known) {
      const allocation = byName.get(name)
      byName.delete(name)
      if (!allocation) {
        expect(['allocate', 'release']).toContain(item.attempt?.kind)
        known.delete(name)
        continue
      }
      compare(item, allocation)
      if (item.mapping !== undefined && item.attempt === undefined) {
        const { mappings } = await client.call('GetAllocation', { name })
        expect(mappings).toContainEqual(expect.objectContaining({ id: item.mapping, state: 'held' }))
      }
      adopt(item, allocation)
    }
  expect([...byName.keys()]).toEqual([])
  client.close()
}

/** A new process for each that was killed takes up everything its account has. */
async function revive(workers: RandomWorker[]): Promise<void> {
  for (const worker of workers) {
    if (worker.alive) continue
    await worker.start()
    const claimed = new Map<string, number[]>()
    await until(async () => {
      for (const [name, mappings] of await worker.claim()) claimed.set(name, mappings)
      return claimed.size === worker.known.size
    }, 'everything of a killed process is claimed')
    for (const [name, mappings] of claimed) worker.known.get(name)!.mapping = mappings.at(-1)
  }
}

test(
  `${rounds} rounds with seed ${seed}`,
  async () => {
    broker = await TestBroker.start({ bytes: 32 * MiB, logLevel: 'info' })
    const random = new Seeded(seed)
    const workers = ['a/', 'b/', 'c/'].map(
      (prefix, index) => new RandomWorker(prefix, broker.socket, new Seeded(seed + index + 1)),
    )
    let round = 0
    try {
      await leaksNothing(broker, async () => {
        await revive(workers)
        for (; round < rounds; round++) {
          const working = Promise.all(workers.map(worker => worker.work()))
          working.catch(() => {})
          await sleep(random.below(40))
          if (random.below(4) === 0) await random.pick(workers).kill()
          await sleep(random.below(10))
          await broker.kill()
          await working
          // Some die while nobody is there to see it.
          if (random.below(6) === 0) await random.pick(workers).kill()
          await broker.start()
          await verify(workers)
          await revive(workers)
        }
      })
      const operations = workers.reduce((sum, worker) => sum + worker.operations, 0)
      expect(operations).toBeGreaterThan(rounds)
    } catch (error) {
      console.error(`round ${round} failed; MEMBROKER_SEED=${seed} repeats its operations`)
      throw error
    }
  },
  60_000 + rounds * 2000,
)
