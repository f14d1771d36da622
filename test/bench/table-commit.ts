import { closeSync, ftruncateSync, openSync, unlinkSync } from 'node:fs'
import { crc32c, fallocate, TableMap } from '../../native'
import type { MappingRecord } from '../../protocol/table'
import { formatTable, NativeMedium, Table } from '../../src/broker/table'

const tableBytes = 4 * 2 ** 20
const commits = 50_000
const id = '0'.repeat(32)

/** Nanoseconds of one commit of one mapping, checkpoints included, in a table mapped from tmpfs. */
export async function measureCommit(): Promise<number> {
  const file = `/dev/shm/membroker-bench-${process.pid}`
  const fd = openSync(file, 'wx+', 0o600)
  unlinkSync(file)
  ftruncateSync(fd, tableBytes)
  await fallocate(fd, 0, tableBytes)
  const medium = new NativeMedium(new TableMap(fd, 0, tableBytes), tableBytes)
  closeSync(fd)
  const identity = { source: 'directory', base: 0, bytes: 2 ** 30, alignBytes: 4096 } as const
  formatTable(medium, identity, { uuid: id, bootId: id, tableBytes, crc32c })
  const table = Table.open(medium, { bootId: id, identity, crc32c })
  const allocation = {
    id: 1,
    name: 'bench/ram',
    uid: 0,
    bytes: 4096,
    alignBytes: 4096,
    extents: [{ offset: 0, length: 4096 }],
    secret: null,
    metadata: null,
    shares: [],
    holder: null,
    successor: null,
    verdict: 'unverified',
    digest: null,
  } as const
  table.commit([{ put: 'allocation', value: allocation }])
  const mapping: MappingRecord = {
    id: 1,
    allocationId: 1,
    offset: 0,
    length: 4096,
    access: 'readWrite',
    guestAddress: 0,
    metadata: '{"slot":0}',
    uid: 0,
    holder: { pid: 1, start: 1 },
    replaces: null,
    state: 'held',
  }
  const run = (count: number) => {
    for (let i = 0; i < count; i++) table.commit([{ put: 'mapping', value: { ...mapping, offset: 0 } }])
  }
  run(5000)
  const start = process.hrtime.bigint()
  run(commits)
  const total = Number(process.hrtime.bigint() - start)
  medium.close()
  return total / commits
}
