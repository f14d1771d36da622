/**
 * Proves that replies and records are bounded by construction: a ledger of bad memory longer than a reply comes in several,
 * a page of allocations looks at a few hundred, and a reason in characters of several bytes is cut to the table's room for it.
 */

import { chmodSync, closeSync } from 'node:fs'
import { native } from '../../native'
import { reasonBytesMax } from '../../protocol/table'
import { Caller } from '../../protocol/wire/caller'
import { nameBytesMax, poisonRowsMax, replyBytesMax, responderLimits } from '../../protocol/wire/limits'
import { Responder } from '../../protocol/wire/responder'
import type { Broker } from '../../src/broker/broker'
import { recordPoison } from '../../src/broker/contents/poison'
import { allocate } from '../../src/broker/handler/allocate'
import { dispatcher } from '../../src/broker/handler/dispatch'
import { listAllocations } from '../../src/broker/handler/inspect'
import { markPoisoned } from '../../src/broker/handler/poison'
import type { Session } from '../../src/broker/session/session'
import { DirectorySource } from '../../src/broker/source/directory/directory'
import { connect } from '../../src/client'
import { openChannel, TestBroker } from '../support/test-broker'
import { InProcess, sessionOf } from './support/in-process'

const page = 4096
const rows = 7000
const bytes = 64 * 2 ** 20
const name = '"'.repeat(nameBytesMax)
const brokers = new InProcess('bounded')
let directory: string

beforeEach(() => {
  directory = brokers.folder()
  chmodSync(directory, 0o700)
})
afterEach(() => brokers.dispose())

async function withBroker(body: (broker: Broker, session: Session) => Promise<void>): Promise<void> {
  const broker = await brokers.open(directory, { bytes })
  const session = sessionOf(broker)
  try {
    await body(broker, session)
  } finally {
    session.close()
    brokers.close(broker)
  }
}

test('a page of allocations looks at a few hundred of them, however few have the prefix', async () => {
  await withBroker(async (broker, session) => {
    for (let index = 0; index < 600; index++)
      await allocate(broker, session, { name: `vm${index}`, bytes: page })
    const first = listAllocations(broker, session, { prefix: 'none' })
    expect(first).toEqual({ allocations: [], next: 512 })
    expect(listAllocations(broker, session, { prefix: 'none', after: first.next! })).toEqual({
      allocations: [],
      next: null,
    })
  })
})

test('more bad memory than a reply has room for', async () => {
  Object.defineProperty(DirectorySource.prototype, 'ownsPages', { value: true, configurable: true })
  try {
    await withBroker(async (broker, session) => {
      await allocate(broker, session, { name, bytes: bytes / 2 })
      const range = broker.inventory.ranges.get('default')!
      const every = Array.from({ length: rows }, (_, index) => ({ offset: 2 * index * page, length: page }))
      expect(recordPoison(broker, range, every, 'kernel')).toBeUndefined()
      const { poisoned } = markPoisoned(broker, session, {
        range: 'default',
        offset: 0,
        length: 2 * rows * page,
      })
      expect(poisoned).toHaveLength(poisonRowsMax)
      const longest = {
        ...poisoned[0]!,
        allocation: name,
        offset: Number.MAX_SAFE_INTEGER,
        range: 'x'.repeat(63),
      }
      expect(JSON.stringify(longest).length * poisonRowsMax).toBeLessThan(replyBytesMax)
    })
  } finally {
    Reflect.deleteProperty(DirectorySource.prototype, 'ownsPages')
  }
  const broker = await TestBroker.start({ directory, bytes })
  try {
    const first = await broker.ask('ListPoisoned', {})
    expect(first.poisoned).toHaveLength(poisonRowsMax)
    const all: number[] = []
    for await (const { poisoned } of broker.client().stream('ListPoisoned', {}))
      all.push(...poisoned.map(({ offset }) => offset))
    expect(all.length).toBeGreaterThanOrEqual(rows)
    expect(all).toEqual([...all].sort((a, b) => a - b))
    await using client = await connect({ socket: broker.socket })
    expect(await client.poisoned()).toHaveLength(all.length)
  } finally {
    await broker.dispose()
  }
})

test('a reply that has no room after all is an error, and the broker goes on', async () => {
  await withBroker(async (broker, session) => {
    broker.inventory.ranges.get('default')!.report.findings.push('x'.repeat(replyBytesMax))
    const [ours, theirs] = native.socketPair()
    const dispatch = dispatcher(broker)
    const responder = new Responder(openChannel(ours), {
      closeFd: closeSync,
      limits: responderLimits,
      turns: broker.turns.of(() => 0),
      onHeld: () => true,
      onCall: call => dispatch(session, call),
      onClose: () => {},
    })
    const caller = new Caller(openChannel(theirs), { closeFd: closeSync, onClose: () => {} })
    await expect(caller.call('io.membroker.Broker.GetRecovery', {})).rejects.toMatchObject({
      error: 'io.membroker.Broker.LimitExceeded',
      parameters: { limit: 'replyBytes', max: replyBytesMax },
    })
    expect((await caller.call('io.membroker.Broker.GetStatus', {})).parameters).toMatchObject({
      allocations: 0,
    })
    caller.close()
    responder.close()
  })
})

test("a quarantine's reason in characters of three bytes", async () => {
  await withBroker(async (broker, session) => {
    await allocate(broker, session, { name: 'kept', bytes: page })
    const allocation = broker.inventory.byName.get('kept')!
    const retired = broker.inventory.retire(allocation, 'quarantined', '\u754c'.repeat(500), [])
    expect(Buffer.byteLength(retired.record.reason)).toBeLessThanOrEqual(reasonBytesMax)
    broker.inventory.changeRetired(retired, {
      state: 'scrubbing',
      reason: `half a pair ${'x'.repeat(2000)}\ud800`,
    })
    expect(retired.record.reason.isWellFormed()).toBe(true)
  })
})
