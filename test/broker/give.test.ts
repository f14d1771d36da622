/**
 * Proves that a broker which is stopped at any single store of the table, while an allocation changes its owner, comes back with
 * all of it under the old uid or all of it under the new one; that each uid is charged for what it has then; and that the table
 * stays one that an older broker reads.
 */
import { readTable } from '../../protocol/table'
import { Accounts } from '../../src/broker/access/accounts'
import { Leases } from '../../src/broker/lease/process'
import { Inventory } from '../../src/broker/state/inventory'
import { Range, type RangeParts } from '../../src/broker/state/range'
import { RecordBytes } from '../../src/broker/state/record-bytes'
import { newRecoveryReport } from '../../src/broker/state/recovery-report'
import { formatTable, Table } from '../../src/broker/table'
import { BufferMedium } from '../table/support/buffer-medium'
import { crashPoints, RecordingMedium } from '../table/support/recording-medium'
import { allocation, bootA, mapping, randomFrom, sampleIdentity, sampleUuid } from '../table/support/sample'

const [former, owner, sharer] = [1000, 2000, 3000]
const ownLayouts = 3
const bytes = 1 << 20

function open(medium: BufferMedium) {
  const table = Table.open(medium, { bootId: bootA, identity: sampleIdentity })
  const recordBytes = new RecordBytes(table.state)
  const range = new Range({
    name: 'main',
    configured: { kind: 'devdax', bytes: sampleIdentity.bytes },
    recovery: 'sameBoot',
    report: newRecoveryReport(),
    parts: { table, recordBytes } as RangeParts,
    onReadOnly: () => {},
    standing: () => 'owner',
  })
  const leases = new Leases()
  const accounts = new Accounts()
  const inventory = new Inventory(accounts, leases)
  inventory.addRange(range)
  leases.close()
  return { inventory, accounts, recordBytes, table }
}

/** Three layouts of the owner and one of a sharer, all without a process. */
function dormant(): Buffer {
  const medium = new BufferMedium(Buffer.alloc(64 * 1024))
  formatTable(medium, sampleIdentity, { uuid: sampleUuid, bootId: bootA, tableBytes: 64 * 1024 })
  const table = Table.open(medium, { bootId: bootA, identity: sampleIdentity })
  const shares = [owner, sharer].map(uid => ({ uid, access: 'read' as const }))
  const value = allocation(1, { uid: former, bytes, holder: null, successor: null, shares })
  table.commit([{ put: 'allocation', value }])
  for (let id = 1; id <= ownLayouts + 1; id++) {
    const uid = id > ownLayouts ? sharer : former
    table.commit([{ put: 'mapping', value: mapping(id, { holder: null, replaces: null, uid }) }])
  }
  return Buffer.from(medium.buffer)
}

/** Whose it is, after a check that nothing of it is another's. */
function ownerIn({ inventory, accounts, recordBytes, table }: ReturnType<typeof open>): number {
  const one = inventory.byId.get(1)!
  const { uid, shares } = one.record
  const layouts = [...one.mappings.values()].map(({ record }) => record.uid)
  expect(layouts).toEqual([...Array(ownLayouts).fill(uid), sharer])
  expect(shares.map(share => share.uid)).toEqual(uid === former ? [owner, sharer] : [sharer])
  expect(accounts.of(uid)).toEqual({ bytes, allocations: 1, mappings: ownLayouts + 1 })
  expect(accounts.of(sharer)).toEqual({ bytes: 0, allocations: 0, mappings: 1 })
  if (uid === owner) expect(accounts.of(former)).toEqual({ bytes: 0, allocations: 0, mappings: 0 })
  expect([...inventory.related.to(former).keys()]).toEqual(uid === former ? [1] : [])
  expect([...inventory.related.to(owner).keys()]).toEqual([1])
  expect(new Map(recordBytes.entries())).toEqual(new Map(new RecordBytes(table.state).entries()))
  return uid
}

test('stopped at any store: the old owner has all of it, or the new one', () => {
  const medium = new RecordingMedium(dormant())
  const running = open(medium)
  const initial = Buffer.from(medium.buffer)
  const features = readTable(initial).superblock.featuresIncompatible
  medium.stores.length = 0
  expect(ownerIn(running)).toBe(former)
  running.inventory.give(running.inventory.byId.get(1)!, owner)
  expect(ownerIn(running)).toBe(owner)
  expect(readTable(medium.buffer).superblock.featuresIncompatible).toBe(features)
  const found = new Set<number>()
  for (const point of crashPoints(initial, medium.stores, randomFrom(7), 2))
    found.add(ownerIn(open(new BufferMedium(Buffer.from(point.image)))))
  expect([...found].sort()).toEqual([former, owner])
})
