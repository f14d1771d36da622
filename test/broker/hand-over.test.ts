/**
 * Proves that a broker which is stopped at any single store of the table, while a successor joins, completes or leaves, comes
 * back with the same two processes, with the one that is left or with the finished hand-over, and never with nobody.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { Accounts } from '../../src/broker/access/accounts'
import { type Holder, Leases, startTimeOf } from '../../src/broker/lease/process'
import type { Allocation } from '../../src/broker/state/allocation'
import { complete, drop, join, resume } from '../../src/broker/state/hand-over'
import { Inventory } from '../../src/broker/state/inventory'
import { Range, type RangeParts } from '../../src/broker/state/range'
import { RecordBytes } from '../../src/broker/state/record-bytes'
import { newRecoveryReport } from '../../src/broker/state/recovery-report'
import { formatTable, Table } from '../../src/broker/table'
import { BufferMedium } from '../table/support/buffer-medium'
import { crashPoints, RecordingMedium } from '../table/support/recording-medium'
import { allocation, bootA, mapping, randomFrom, sampleIdentity, sampleUuid } from '../table/support/sample'

const layouts = 5
const processes: ChildProcess[] = []
const leases: Leases[] = []

afterAll(() => {
  for (const one of leases) one.close()
  for (const one of processes) one.kill('SIGKILL')
})

function living() {
  const child = spawn('sleep', ['1000'])
  processes.push(child)
  return { pid: child.pid!, start: startTimeOf(child.pid!)! }
}

const holder = living()
const successor = living()

/** A broker's inventory over a table, with those who live in their places. */
function open(medium: BufferMedium): { inventory: Inventory; one: Allocation } {
  const table = Table.open(medium, { bootId: bootA, identity: sampleIdentity })
  const parts = { table, recordBytes: new RecordBytes(table.state) } as RangeParts
  const range = new Range({
    name: 'main',
    configured: { kind: 'devdax', bytes: sampleIdentity.bytes },
    recovery: 'sameBoot',
    report: newRecoveryReport(),
    parts,
    onReadOnly: () => {},
    standing: () => 'administrator',
  })
  const own = new Leases()
  leases.push(own)
  const inventory = new Inventory(new Accounts(), own)
  inventory.addRange(range)
  const one = inventory.byId.get(1)!
  const { uid, record } = { uid: one.record.uid, record: one.record }
  if (record.holder) inventory.setHolder(one, own.hold(record.holder, uid))
  if (record.successor) inventory.setSuccessor(one, own.hold(record.successor, uid))
  for (const each of inventory.mappings.values())
    if (each.record.holder) inventory.setMappingHolder(each, own.hold(each.record.holder, uid))
  return { inventory, one }
}

/** Held by first, with all its layouts. */
function before(first: { pid: number; start: number }): Buffer {
  const medium = new BufferMedium(Buffer.alloc(64 * 1024))
  formatTable(medium, sampleIdentity, { uuid: sampleUuid, bootId: bootA, tableBytes: 64 * 1024 })
  const table = Table.open(medium, { bootId: bootA, identity: sampleIdentity })
  const value = allocation(1, { holder: first, successor: null, uid: 1000 })
  table.commit([{ put: 'allocation', value }])
  for (let id = 1; id <= layouts; id++)
    table.commit([
      {
        put: 'mapping',
        value: mapping(id, { holder: first, replaces: null, uid: 1000, offset: id * 4096, length: 4096 }),
      },
    ])
  return Buffer.from(medium.buffer)
}

type Work = (inventory: Inventory, one: Allocation, process: Holder) => void

/** What every broker finds that is stopped at any store of the work. */
function stopEverywhere(image: Buffer, work: Work, check: (one: Allocation, inventory: Inventory) => string) {
  const medium = new RecordingMedium(Buffer.from(image))
  const { inventory, one } = open(medium)
  const initial = Buffer.from(medium.buffer)
  medium.stores.length = 0
  work(inventory, one, inventory.leases.hold(successor, 1000)!)
  const found = new Map<string, number>()
  for (const point of crashPoints(initial, medium.stores, randomFrom(7), 1)) {
    const next = open(new BufferMedium(Buffer.from(point.image)))
    resume(next.inventory, next.one)
    const kind = check(next.one, next.inventory)
    found.set(kind, (found.get(kind) ?? 0) + 1)
    for (const lease of leases.splice(0)) lease.close()
  }
  return [...found.keys()].sort()
}

function stateOf(one: Allocation): string {
  const all = [...one.mappings.values()]
  const of = (pid: number | undefined) =>
    all
      .filter(({ state, holder: by }) => state === 'held' && by?.pid === pid)
      .map(({ record }) => record.offset)
  const complete = (offsets: number[]) =>
    expect(offsets.sort()).toEqual([1, 2, 3, 4, 5].map(n => n * 4096).sort())
  const provisional = all.filter(({ record }) => record.replaces !== null)
  if (one.successor) {
    expect([one.holder?.pid, one.successor.pid]).toEqual([holder.pid, successor.pid])
    complete(of(holder.pid))
    expect(provisional.every(({ heldBy }) => heldBy === one.successor)).toBe(true)
    return 'both'
  }
  expect(provisional).toEqual([])
  expect(one.record.successor).toBeNull()
  if (one.holder?.pid === holder.pid) {
    complete(of(holder.pid))
    expect(all).toHaveLength(layouts)
    return 'holder'
  }
  expect(one.holder?.pid).toBe(successor.pid)
  complete(of(successor.pid))
  expect(all.filter(({ state }) => state === 'revoking')).toHaveLength(all.length - layouts)
  return 'successor'
}

const all = (one: Allocation) => [...one.mappings.values()]

test('both live: joining, completing and leaving', () => {
  const joining: Work = (inventory, one, process) => void join(inventory, one, process, all(one))
  expect(stopEverywhere(before(holder), joining, stateOf)).toEqual(['both', 'holder'])
  const completing: Work = (inventory, one, process) => {
    join(inventory, one, process, all(one))
    expect(complete(inventory, one)).toHaveLength(layouts)
  }
  expect(stopEverywhere(before(holder), completing, stateOf)).toEqual(['both', 'holder', 'successor'])
  const leaving: Work = (inventory, one, process) => {
    join(inventory, one, process, all(one))
    drop(inventory, one)
  }
  expect(stopEverywhere(before(holder), leaving, stateOf)).toEqual(['both', 'holder'])
})

test('the holder is gone when the next broker starts: its successor has all of it from its first commit on', () => {
  const gone = { pid: 2 ** 22 + 1, start: 1 }
  const joining: Work = (inventory, one, process) => void join(inventory, one, process, all(one))
  const found = stopEverywhere(before(gone), joining, one => {
    if (one.holder === undefined) {
      expect([one.successor, one.record.successor, one.mappings.size]).toEqual([undefined, null, layouts])
      return 'waits to be claimed'
    }
    expect(one.holder.pid).toBe(successor.pid)
    expect(all(one).every(({ record }) => record.replaces === null)).toBe(true)
    return 'successor'
  })
  expect(found).toEqual(['successor', 'waits to be claimed'])
})
