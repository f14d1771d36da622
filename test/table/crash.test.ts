/** Proves that a table that stops after any store holds the old or the new state, and goes on. */
import { readTable, TableUnreadable } from '../../protocol/table'
import { formatTable, Table } from '../../src/broker/table'
import { BufferMedium } from './support/buffer-medium'
import { looksDamaged, met } from './support/older-program'
import { crashPoints, RecordingMedium } from './support/recording-medium'
import {
  bootA,
  bootB,
  bootC,
  inAnotherBoot,
  mapping,
  randomFrom,
  randomTransaction,
  sampleIdentity,
  smallTable,
  snapshot,
} from './support/sample'

const { tableBytes } = smallTable
const seed = Number(process.env.CRASH_SEED ?? 20221117)
const unformatted = 'unformatted'

/** The stores up to `store` made what the state is after a step. */
interface Step {
  readonly store: number
  readonly after: string
  readonly what: string
}

/** Runs a life of a table on one medium: a format, commits, take-overs in the same and in other boots, a second format. */
function live(
  medium: RecordingMedium,
  random: () => number,
  commits: number,
): { steps: Step[]; checkpoints: number; laps: number } {
  const steps: Step[] = [{ store: 0, after: unformatted, what: 'nothing' }]
  const step = (what: string, after: string) => steps.push({ store: medium.stores.length, after, what })
  const format = () => {
    formatTable(medium, sampleIdentity, smallTable)
    step('format', snapshot(readTable(medium.buffer).state))
  }
  const open = (bootId: string) => {
    const table = Table.open(medium, { bootId, identity: sampleIdentity })
    step('take-over', snapshot(table.state))
    return table
  }
  format()
  let table = open(bootA)
  let laps = 0
  const starts = new Set<number>()
  for (let commit = 0; commit < commits; commit++) {
    table.commit(randomTransaction(table.state, kind => table.nextId(kind), random))
    step(`commit ${table.sequence}`, snapshot(table.state))
    const { superblock, journalEnd } = readTable(medium.buffer)
    starts.add(superblock.journalStart)
    laps = Math.max(laps, Math.floor(journalEnd / 4096))
    if (commit % 9 === 4) table.shortenJournal(0)
    if (commit % 31 === 17) table = open(commit % 2 ? bootA : bootB)
  }
  format()
  table = open(bootA)
  table.commit([{ put: 'mapping', value: mapping(1) }])
  step('commit 1 after the second format', snapshot(table.state))
  return { steps, checkpoints: starts.size - 1, laps }
}

function read(image: Buffer): string {
  try {
    return snapshot(readTable(image).state)
  } catch (error) {
    if (error instanceof TableUnreadable && error.code === 'NotFormatted') return unformatted
    throw error
  }
}

/** The state survives being taken over, and takes further commits. */
function proveUsable(image: Buffer, expected: string): void {
  const medium = new BufferMedium(Buffer.from(image))
  const table = Table.open(medium, { bootId: bootC, identity: sampleIdentity })
  expect(withoutBoot(snapshot(table.state))).toBe(withoutBoot(expected))
  expect(readTable(medium.buffer).diagnostics).toEqual([])
  const id = table.nextId('mapping')
  table.commit([{ put: 'mapping', value: mapping(id) }])
  const again = readTable(medium.buffer)
  expect(again.state.mappings.get(id)).toEqual(mapping(id))
  expect(snapshot(again.state)).toBe(snapshot(table.state))
  expect(again.diagnostics).toEqual([])
}

/** What another boot still sees. */
function withoutBoot(state: string): string {
  const [allocations, mappings, ...rest] = JSON.parse(state)
  const strip = (entities: { holder: unknown }[]) => entities.map(inAnotherBoot)
  const left = mappings.filter(({ replaces }: { replaces: number | null }) => replaces === null)
  return JSON.stringify([strip(allocations), strip(left), rest[0], rest[1]])
}

test('a table stopped after any store, in any order of stores, holds the old or the new state, and goes on', () => {
  const random = randomFrom(seed)
  const medium = new RecordingMedium(Buffer.alloc(tableBytes))
  const { steps, checkpoints, laps } = live(medium, random, 110)
  expect(checkpoints).toBeGreaterThan(5)
  expect(laps).toBeGreaterThan(2)

  let index = 1
  let sawNew = false
  let points = 0
  let recoveries = 0
  let unknown = 0
  const recoveredFrom = new Map<string, number>()
  for (const point of crashPoints(Buffer.alloc(tableBytes), medium.stores, random, 3)) {
    while (index < steps.length - 1 && point.store > steps[index]!.store) {
      index += 1
      sawNew = false
    }
    const [before, after] = [steps[index - 1]!, steps[index]!]
    const where = `seed ${seed}, store ${point.store} (${point.order}) in ${after.what}`
    const found = readOrExplain(point.image, where)
    const allowed = [before.after, after.after]
    if (!allowed.includes(found)) throw new Error(`${where}: a third state\n${found}\n${allowed.join('\n')}`)
    if (point.order === 'forward') {
      if (sawNew && found !== after.after) throw new Error(`${where}: fell back to the old state`)
      sawNew = found === after.after && after.after !== before.after
      if (found !== unformatted && (points % 7 === 0 || medium.stores[point.store - 1]?.fence))
        proveUsable(point.image, found)
    }
    if (point.store === after.store && point.order === 'forward' && found !== after.after) {
      throw new Error(`${where}: the step is over, and its state is not there`)
    }
    if (found !== unformatted && met(point.image) !== 0) {
      if (looksDamaged(point.image)) throw new Error(`${where}: an older program would take it for damaged`)
      unknown += 1
    }
    points += 1
    if (found !== unformatted && point.order === 'forward')
      recoveries += stopRecovery(point.image, found, where, recoveredFrom)
  }
  expect(points).toBeGreaterThan(
    2 * medium.stores.length - medium.stores.filter(store => store.fence).length * 2,
  )
  expect(recoveries).toBeGreaterThan(1000)
  expect(unknown).toBeGreaterThan(1000)
  expect([...recoveredFrom.keys()].sort()).toEqual([
    '',
    'superblock copy A is writing',
    'superblock copy B is stale',
    'superblock copy B is writing',
    'the writer stopped right after publishing commit N',
  ])
})

function readOrExplain(image: Buffer, where: string): string {
  try {
    return read(image)
  } catch (error) {
    throw new Error(`${where}: ${String(error)}`)
  }
}

/**
 * Stops the take-over itself, and the first commit after it, at every store; some times for each situation that a take-over can
 * find. Returns the points tried.
 */
function stopRecovery(image: Buffer, expected: string, where: string, seen: Map<string, number>): number {
  const situation = readTable(image)
    .diagnostics.join('; ')
    .replace(/commit \d+/, 'commit N')
  const times = seen.get(situation) ?? 0
  seen.set(situation, times + 1)
  if (times > 40 || times % 8 !== 0) return 0
  const medium = new RecordingMedium(Buffer.from(image))
  const table = Table.open(medium, { bootId: bootC, identity: sampleIdentity })
  table.commit([{ put: 'mapping', value: mapping(table.nextId('mapping')) }])
  const allowed = [withoutBoot(expected), withoutBoot(snapshot(table.state))]
  let points = 0
  for (const point of crashPoints(image, medium.stores, randomFrom(1), 2)) {
    const found = readOrExplain(
      point.image,
      `${where}, then store ${point.store} of its recovery (${point.order})`,
    )
    if (!allowed.includes(withoutBoot(found)))
      throw new Error(`${where}: a third state after a stopped recovery`)
    if (looksDamaged(point.image))
      throw new Error(`${where}: an older program would take it for damaged, after a stopped recovery`)
    points += 1
  }
  return points
}

test('a table whose memory fails at any operation keeps its state, refuses every commit, and opens as old or new', () => {
  class FailingMedium extends BufferMedium {
    left = Number.POSITIVE_INFINITY
    override write(offset: number, bytes: Uint8Array): void {
      this.count()
      super.write(offset, bytes)
    }
    override publish(offset: number, low: number, high: number): void {
      this.count()
      super.publish(offset, low, high)
    }
    override read(offset: number, length: number): Buffer {
      this.count()
      return super.read(offset, length)
    }
    private count(): void {
      if (this.left-- <= 0) throw Object.assign(new Error('bad page'), { code: 'EFAULT' })
    }
  }
  let failedCommits = 0
  for (let operations = 0; operations < 420; operations++) {
    const random = randomFrom(seed)
    const medium = new FailingMedium(Buffer.alloc(tableBytes))
    formatTable(medium, sampleIdentity, smallTable)
    const table = Table.open(medium, { bootId: bootA, identity: sampleIdentity })
    medium.left = operations
    let before = snapshot(table.state)
    let stopped: unknown
    while (!stopped) {
      before = snapshot(table.state)
      try {
        table.commit(randomTransaction(table.state, kind => table.nextId(kind), random))
      } catch (error) {
        stopped = error
      }
    }
    expect(stopped).toMatchObject({ code: 'TableFailed', cause: { code: 'EFAULT' } })
    expect(snapshot(table.state)).toBe(before)
    expect(() => table.commit([{ put: 'mapping', value: mapping(table.nextId('mapping')) }])).toThrow(
      table.failure,
    )
    medium.left = Number.POSITIVE_INFINITY
    expect(snapshot(Table.open(medium, { bootId: bootA, identity: sampleIdentity }).state)).toBe(before)
    failedCommits += 1
  }
  expect(failedCommits).toBe(420)
})
