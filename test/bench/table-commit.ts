import { mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { crc32c } from '../../native'
import type { MappingRecord } from '../../protocol/table'
import { formatTable, Table } from '../../src/broker/table'
import { run } from '../support/child'
import { bundled } from './bundled'
import { allocationAt, identityFor, openMedium } from './crowd-table'
import { openLmdb, openSqlite } from './databases'
import { inTurns, type Report, rowOf } from './rounds'

const tableBytes = 4 * 2 ** 20
const commits = 5000
const id = '0'.repeat(32)

const mapping: MappingRecord = {
  ...{ id: 1, allocationId: 1, offset: 0, length: 4096, access: 'readWrite', guestAddress: 0 },
  ...{ metadata: '{"slot":0}', uid: 0, holder: { pid: 1, start: 1 }, replaces: null, state: 'held' },
}

const names = {
  table: 'the table',
  sqlite: 'better-sqlite3, synchronous=FULL',
  lmdb: "LMDB's putSync",
}
type Times = Partial<Record<keyof typeof names, number[]>>

/** One durable change of one mapping, checkpoints included, in a table on tmpfs, and in databases there. Nanoseconds. */
export async function measureCommit(rounds: number, report: Report): Promise<void> {
  const output = await run(process.execPath, [bundled('table-commit.ts'), String(rounds)])
  const { table, ...others } = JSON.parse(output) as Times
  const baselines = Object.entries(others).map(([way, times]) => [names[way as keyof Times], times] as const)
  report(rowOf('durable table commit', table!, Object.fromEntries(baselines)))
}

/** In a process of its own, which takes turns. */
async function commitInTurns(rounds: number): Promise<Times> {
  const folder = mkdtempSync('/dev/shm/membroker-bench-')
  const medium = await openMedium(path.join(folder, 'table'), tableBytes)
  const identity = identityFor(2 ** 30)
  formatTable(medium, identity, { uuid: id, bootId: id, tableBytes, crc32c })
  const table = Table.open(medium, { bootId: id, identity, crc32c })
  table.commit([{ put: 'allocation', value: allocationAt(0) }])
  const sqlite = openSqlite(path.join(folder, 'sqlite'))
  sqlite?.exec(
    'CREATE TABLE mapping(id INTEGER PRIMARY KEY, allocation, first, length, access, uid, pid, start, metadata)',
  )
  const put = sqlite?.prepare('INSERT OR REPLACE INTO mapping VALUES(1, 1, 0, ?, 1, 0, 1, 1, \'{"slot":0}\')')
  const lmdb = openLmdb(path.join(folder, 'lmdb'))
  const value = Buffer.alloc(136, 1)
  const timed = (change: (index: number) => void) => () => {
    const start = process.hrtime.bigint()
    for (let index = 0; index < commits; index++) change(index)
    return Number(process.hrtime.bigint() - start) / commits
  }
  try {
    const ways = {
      table: timed(() => table.commit([{ put: 'mapping', value: { ...mapping, offset: 0 } }])),
      ...(put && { sqlite: timed(index => put.run(index)) }),
      ...(lmdb && { lmdb: timed(() => lmdb.putSync(1, value)) }),
    }
    ways.table()
    return await inTurns<string, number>(rounds, ways)
  } finally {
    medium.close()
    sqlite?.close()
    await lmdb?.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

if (require.main === module)
  commitInTurns(Number(process.argv[2])).then(times => console.log(JSON.stringify(times)))
