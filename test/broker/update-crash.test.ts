/**
 * Proves that a broker killed before any single commit of an update leaves either the update under way or nothing of it: no
 * freeze without its update, and a report that says how it ended, in the same boot and in the next; and that a report fits
 * its part of a table, however many take part.
 */
import type { Participant } from '../../protocol/generated/broker'
import { updateId } from '../../protocol/table'
import { outcomesMax, outcomesShare, updateUnkeptMsMax } from '../../protocol/wire/limits'
import type { Call } from '../../protocol/wire/responder'
import type { Broker } from '../../src/broker/broker'
import { freeze } from '../../src/broker/handler/freeze'
import { Range } from '../../src/broker/state/range'
import { Report } from '../../src/broker/update/report'
import { until } from '../support/until'
import { dyingAfter, InProcess, onlyRange, sessionOf, wasKilled } from './support/in-process'

const [bootA, bootB] = ['a'.repeat(32), 'b'.repeat(32)]
const brokers = new InProcess('update-crash')

afterEach(() => {
  jest.restoreAllMocks()
  brokers.dispose()
})

/** A broker on ranges in these directories; tableBytes: of each. */
async function open(bootId: string, directories: readonly string[], tableBytes?: number): Promise<Broker> {
  const broker = await brokers.open(directories[0]!, {
    bootId,
    change: settings => {
      const [range] = settings.ranges
      settings.ranges = directories.map((path, index) => ({
        ...range!,
        name: `range-${index}`,
        path,
        ...(tableBytes !== undefined && { tableBytes }),
      }))
    },
  })
  broker.updates.serving()
  return broker
}

const places = (count: number) => Array.from({ length: count }, () => brokers.folder())

/** A call that takes all replies. */
const call = () =>
  ({
    more: true,
    ended: false,
    replyMore: () => true,
    reply() {},
    onEnd() {},
    onDrain() {},
  }) as unknown as Call

/** A whole update, from the first participant to its end. */
async function update(broker: Broker): Promise<void> {
  const session = sessionOf(broker)
  const { updates } = broker
  for (const name of ['vm-a', 'vm-b']) updates.join(session, name, call())
  updates.begin(session, 60_000, 'kernel', call())
  const { id } = updates.update!
  for (const { id: participant } of [...updates.list(undefined)])
    updates.answer(session, { participant, update: id, outcome: 'ready' })
  await freeze(broker, session, { update: id }, call())
  updates.proceed(session, id, false, 60_000)
  await updates.cancel(id, 'kexec failed')
  updates.resumed(session, { update: id, name: 'vm-a', runningAt: Date.now() })
}

test('killed before any commit: the update is under way, or over with its freeze, and its report says which', async () => {
  const seen = new Set<string>()
  for (let deaths = 0; ; deaths++) {
    const directories = places(2)
    const first = await open(bootA!, directories)
    const { commit } = Range.prototype
    jest.spyOn(Range.prototype, 'commit').mockImplementation(dyingAfter(deaths)(commit))
    const died = await wasKilled(update(first))
    jest.restoreAllMocks()
    brokers.close(first)
    for (const bootId of [bootA!, bootA!, bootB!]) {
      const next = await open(bootId, directories)
      const { update: current, report } = next.updates
      const outcome = report.view?.outcome
      const found = [current?.state, next.frozenFor?.update === current?.id && current !== undefined, outcome]
      if (next.frozen !== undefined)
        expect({ deaths, found }).toMatchObject({ found: [expect.anything(), true, 'underWay'] })
      if (current) expect([report.view?.id, outcome]).toEqual([current.id, 'underWay'])
      else expect(['cancelled', 'replaced', undefined]).toContain(outcome)
      if (bootId === bootB) expect(current).toBeUndefined()
      seen.add(`${bootId[0]}: ${current?.state ?? 'none'}, ${outcome}`)
      brokers.close(next)
    }
    if (!died) break
  }
  // All that there is was met.
  expect([...seen].sort()).toEqual([
    'a: none, cancelled',
    'a: none, undefined',
    'a: preparing, underWay',
    'a: proceeding, underWay',
    'b: none, cancelled',
    'b: none, replaced',
    'b: none, undefined',
  ])
})

test('a start of the broker that takes long is not the time of whoever leads: nobody can call it yet', async () => {
  const directories = places(1)
  const before = await brokers.open(directories[0]!)
  before.updates.begin(sessionOf(before), 60_000, 'kernel', call())
  const { id } = before.updates.update!
  brokers.close(before)
  const { updates } = await brokers.open(directories[0]!)
  // As it preserves a thousand memfds.
  await new Promise(resolve => setTimeout(resolve, updateUnkeptMsMax + 2_000))
  expect(updates.update).toMatchObject({ id, state: 'preparing' })
  updates.serving()
  expect(updates.update).toMatchObject({ id, state: 'preparing' })
  await until(() => updates.update?.state === 'ready', 'nobody has come back')
  await until(() => updates.update === undefined, 'nobody keeps it')
})

test('who is back after a restart, with the deadline over, is late only if no answer follows in the time to return', async () => {
  const directories = places(1)
  const before = await brokers.open(directories[0]!)
  const session = sessionOf(before)
  before.updates.join(session, 'vm-a', call())
  before.updates.begin(session, 100, 'kernel', call())
  const states = ({ updates }: Broker) => [...updates.list(undefined)].map(({ name, state }) => [name, state])
  await until(() => states(before)[0]![1] === 'late', 'the deadline')
  brokers.close(before)
  const after = await brokers.open(directories[0]!)
  after.updates.serving()
  after.updates.join(sessionOf(after), 'vm-a', call())
  expect(states(after)).toEqual([['vm-a', 'asked']])
  expect(after.updates.update!.state).toBe('preparing')
  await until(() => states(after)[0]![1] === 'late', 'the time to return is over')
  expect(after.updates.update!.state).toBe('late')
})

test('a broker starts after an update whatever the clock of the next boot says', async () => {
  const directories = places(1)
  const before = await open(bootA!, directories)
  const record = {
    id: updateId,
    number: 1,
    state: 'preparing',
    reason: 'kernel',
    uid: 0,
    deadlineMs: 1,
  } as const
  new Report(before.inventory.ranges, before.log, () => true).begin(
    { ...record, sinceMs: Date.now() },
    60_000,
  )
  brokers.close(before)
  jest.spyOn(Date, 'now').mockReturnValue(1)
  try {
    const { updates } = await open(bootB!, directories)
    expect(updates.report.view).toMatchObject({ outcome: 'replaced', kernelAt: null })
  } finally {
    jest.restoreAllMocks()
  }
})

test.each([
  [32 * 1024, 2_000, 1],
  [4 * 2 ** 20, 2_000, 500],
  [64 * 2 ** 20, 5_000, outcomesMax],
])(
  'a report in a table of %i bytes: of %i participants it lists at least %i, and fills its part at most',
  async (tableBytes, many, least) => {
    const broker = await open(bootA!, places(1), tableBytes)
    const { ranges } = broker.inventory
    const report = new Report(ranges, broker.log, () => true)
    const record = {
      id: updateId,
      number: 1,
      state: 'preparing',
      reason: 'kernel',
      uid: 0,
      sinceMs: Date.now(),
      deadlineMs: 1,
    } as const
    const participants = Array.from(
      { length: many },
      (_, index): Participant => ({
        ...{ id: index, name: `vm-${index}`, uid: 1000, pid: 1, waitedFor: true },
        ...{ state: 'ready', answeredAfterMs: index, detail: null },
      }),
    )
    const { table } = onlyRange(broker)
    const empty = table.stateBytes
    for (let round = 0; round < 2; round++) {
      report.begin(record, 60_000)
      report.proceeds({ participants, frozenMs: Date.now() })
      const { listed, ...view } = report.view!
      expect(view).toMatchObject({ participants: many, ready: many })
      expect(listed).toBeGreaterThanOrEqual(least)
      expect(listed).toBeLessThanOrEqual(outcomesMax)
      // And the report itself.
      expect(table.stateBytes - empty).toBeLessThanOrEqual(table.stateBytesMax / outcomesShare + 256)
    }
    report.forget()
    expect(table.stateBytes).toBe(empty)
  },
)
