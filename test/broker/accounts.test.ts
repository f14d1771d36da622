/**
 * Proves that what uids are charged, and the sums of a range, are those of the records after any sequence of requests:
 * refused, undone, in quarantine, with holders that exit, and in the next broker.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { native } from '../../native'
import type { Call } from '../../protocol/wire/responder'
import type { Used } from '../../src/broker/access/accounts'
import { bytesOf } from '../../src/broker/allocator/extents'
import type { Broker } from '../../src/broker/broker'
import { unlimited } from '../../src/broker/config/settings'
import { allocate, grow } from '../../src/broker/handler/allocate'
import { claim } from '../../src/broker/handler/claim'
import { freezeTables, thaw } from '../../src/broker/handler/freeze'
import { createMapping, revokeMapping } from '../../src/broker/handler/mapping'
import { share } from '../../src/broker/handler/owner'
import { markPoisoned } from '../../src/broker/handler/poison'
import { release } from '../../src/broker/handler/release'
import { Refusal } from '../../src/broker/refusal'
import { Session } from '../../src/broker/session/session'
import { emptySums, type Sums } from '../../src/broker/state/range'
import { Seeded } from '../support/seeded'
import { until } from '../support/test-broker'
import { InProcess } from './support/in-process'

const page = 4096
const uids = [1001, 1002, 1003]
const names = ['a', 'b', 'c', 'd', 'e', 'f']

const brokers = new InProcess('accounts')
let directory: string
let broker: Broker
const processes: ChildProcess[] = []
let sessions: Session[]
let administrator: Session
/** Descriptors that nobody gives back: what they reach goes into quarantine. */
let kept: number[]

async function start(): Promise<void> {
  const limits = { ...unlimited, bytesMax: 12 * page, allocationsMax: 4, mappingsMax: 5 }
  broker = await brokers.open(directory, {
    change: ({ ranges, owners }) => {
      // Memory is then made asynchronously, and a freeze can come in between.
      ranges[0]!.preallocate = true
      for (const uid of uids) owners.set(uid, limits)
    },
  })
}

const stop = () => brokers.close(broker)

function connect(uid: number): Session {
  const child = spawn('sleep', ['600'])
  processes.push(child)
  return new Session({ pid: child.pid!, uid, gid: uid, pidfd: native.pidfdOpen(child.pid!) }, broker)
}

beforeEach(async () => {
  directory = brokers.folder()
  kept = []
  await start()
  sessions = uids.map(connect)
  administrator = connect(0)
})
afterEach(() => {
  stop()
  for (const fd of kept) closeSync(fd)
  for (const child of processes.splice(0)) child.kill('SIGKILL')
  brokers.dispose()
})

/** From the records alone. */
function expected(): { used: Map<number, Used>; sums: Sums } {
  const used = new Map<number, Used>()
  const sums = emptySums()
  const add = (uid: number, amounts: Partial<Used>) => {
    const before = used.get(uid) ?? { bytes: 0, allocations: 0, mappings: 0 }
    used.set(uid, {
      bytes: before.bytes + (amounts.bytes ?? 0),
      allocations: before.allocations + (amounts.allocations ?? 0),
      mappings: before.mappings + (amounts.mappings ?? 0),
    })
  }
  const { byId, mappings, retired } = broker.inventory
  for (const { record, heldBy } of byId.values()) {
    add(record.uid, { bytes: record.bytes, allocations: 1 })
    sums.allocations += 1
    sums.allocatedBytes += record.bytes
    sums.claimed += Number(heldBy !== undefined)
    sums[record.verdict] += 1
  }
  for (const { record, allocation } of mappings.values())
    for (const uid of new Set([record.uid, allocation.record.uid])) add(uid, { mappings: 1 })
  for (const { record } of retired.values()) {
    const bytes = bytesOf(record.extents)
    add(record.uid, { bytes, allocations: 1 })
    sums[record.state] += bytes
  }
  return { used, sums }
}

function check(): void {
  const { used, sums } = expected()
  const byUid = (entries: Iterable<[number, Used]>) => [...entries].sort(([a], [b]) => a - b)
  expect(byUid(broker.accounts.entries())).toEqual(byUid(used))
  expect(broker.inventory.ranges.get('default')!.sums).toEqual(sums)
}

/** keep: the descriptors of its reply stay open. */
function callOf(keep: boolean): Call {
  return {
    method: '',
    parameters: {},
    more: false,
    oneway: false,
    ended: false,
    reply: (_, fds = []) => {
      if (keep) kept.push(...fds)
      else for (const fd of fds) closeSync(fd)
    },
    replyMore: () => true,
    fail: () => {},
    onEnd: () => {},
    onDrain: () => {},
  }
}

async function exitAndReplace(at: number): Promise<void> {
  const session = sessions[at]!
  const child = processes.find(({ pid }) => pid === session.peer.pid)!
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
  session.close()
  sessions[at] = connect(session.uid)
}

/** One request of a random uid, which may be refused. */
async function act(random: Seeded): Promise<string> {
  const at = random.below(sessions.length)
  const session = sessions[at]!
  const name = random.pick(names)
  const bytes = page * (1 + random.below(6))
  const call = callOf(random.below(8) === 0)
  const requests: Record<string, () => unknown> = {
    allocate: () => allocate(broker, session, { name, bytes }),
    allocateFor: () => allocate(broker, administrator, { name, bytes, uid: session.uid }),
    allocateFrozen: () => whileFrozen(() => allocate(broker, session, { name, bytes })),
    grow: () => grow(broker, session, { name, bytes }),
    growFrozen: () => whileFrozen(() => grow(broker, session, { name, bytes })),
    map: () => createMapping(broker, session, { name }, call),
    share: () => share(broker, session, { name, uid: random.pick(uids), access: 'readWrite' }),
    claim: () => claim(broker, session, { name }, call),
    revoke: () => {
      const mapping = random.pick([...broker.inventory.mappings.keys(), 0])
      return revokeMapping(broker, session, { mapping, graceMs: 0 }, call)
    },
    release: () => release(broker, session, { name, graceMs: 0 }, call),
    poison: () => markPoisoned(broker, session, { name, offset: 0, length: page }),
    // As when the last holder is gone: the quarantine goes on from there.
    scrub: () => {
      const retired = [...broker.inventory.retired.values()].find(
        ({ record }) => record.state === 'quarantined',
      )
      if (retired) broker.inventory.changeRetired(retired, { state: 'scrubbing', reason: 'for the test' })
    },
    exit: () => exitAndReplace(at),
  }
  const kind = random.pick(Object.keys(requests))
  try {
    await requests[kind]!()
    return kind
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return `${kind}: ${error.error}`
  }
}

async function whileFrozen(begin: () => Promise<unknown>): Promise<void> {
  const request = begin()
  request.catch(() => {})
  freezeTables(broker, sessions[0]!, {})
  try {
    await request
  } finally {
    await thaw(broker, sessions[0]!)
  }
}

const seen = new Set<string>()

test.each([1, 2, 3, 4])('the accounts and sums are those of the records, seed %i', async seed => {
  const random = new Seeded(seed)
  for (let step = 0; step < 400; step++) {
    seen.add(await act(random))
    check()
  }

  stop()
  await start()
  check()
  sessions = sessions.map(({ peer }) => new Session(peer, broker))
  for (let step = 0; step < 60; step++) {
    await act(random)
    check()
  }
  for (const fd of kept.splice(0)) closeSync(fd)
  for (const session of sessions)
    for (const [name, { record }] of [...broker.inventory.byName.entries()])
      if (record.uid === session.uid)
        await release(broker, session, { name: String(name), graceMs: 0 }, callOf(false))
  await until(() => broker.inventory.retired.size === 0, 'all memory is free')
  check()
  expect([...broker.accounts.entries()]).toEqual([])
  expect(broker.inventory.ranges.get('default')!.sums).toEqual(emptySums())
})

test('all kinds of requests were among them, done and refused', () => {
  for (const kind of [
    'allocate',
    'allocateFor',
    'grow',
    'map',
    'share',
    'claim',
    'revoke',
    'release',
    'poison',
    'scrub',
    'exit',
  ])
    expect(seen).toContain(kind)
  for (const refused of ['allocate: QuotaExceeded', 'allocateFrozen: Frozen', 'growFrozen: Frozen'])
    expect(seen).toContain(refused)
})
