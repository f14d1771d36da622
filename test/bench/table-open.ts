import { mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { crc32c } from '../../native'
import { entityBytes } from '../../protocol/table'
import { Table } from '../../src/broker/table'
import { run } from '../support/child'
import { bundled } from './bundled'
import { allocationAt, identityFor, openMedium, rangeBytesFor, writeCrowd } from './crowd-table'
import { openSqlite } from './databases'
import { inTurns, type Report, rowOf } from './rounds'

const boot = 'c'.repeat(32)
const chunkBytes = 2 ** 20

/**
 * A table of so many allocations opened by a new process, beside SQLite that loads the same rows, and a bare read with CRC32C of
 * the table's used bytes. Each has a process of its own in each round, as a start has. Nanoseconds.
 */
export async function measureOpen(count: number, rounds: number, report: Report): Promise<void> {
  const folder = mkdtempSync('/dev/shm/membroker-bench-')
  try {
    await writeCrowd(folder, count)
    const sqlite = openSqlite(path.join(folder, 'sqlite'))
    if (sqlite) {
      sqlite.exec(
        'CREATE TABLE allocation(id INTEGER PRIMARY KEY, name TEXT UNIQUE, uid, bytes, alignBytes, offset, length, secret, metadata, pid, start, verdict, digest)',
      )
      const put = sqlite.prepare('INSERT INTO allocation VALUES(?,?,?,?,?,?,?,NULL,NULL,NULL,NULL,0,NULL)')
      sqlite.transaction(() => {
        for (let index = 0; index < count; index++) {
          const { id, name, uid, bytes, alignBytes, extents } = allocationAt(index)
          put.run(id, name, uid, bytes, alignBytes, extents[0]!.offset, extents[0]!.length)
        }
      })()
      sqlite.close()
    }
    const program = bundled('table-open.ts')
    const way = (name: string) => async () =>
      Number(await run(process.execPath, [program, name, folder, String(count)]))
    const ways = { table: way('table'), bare: way('bare'), ...(sqlite && { sqlite: way('sqlite') }) }
    const times = await inTurns<string, number>(rounds, ways)
    report(
      rowOf(`open a table of ${count} allocations`, times.table!, {
        ...(times.sqlite && { 'SQLite loading the same rows': times.sqlite }),
        'a bare read with CRC32C': times.bare!,
      }),
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** In a process of its own. */
async function openOnce(way: string, folder: string, count: number): Promise<number> {
  const medium = await openMedium(path.join(folder, 'table'))
  const from = process.hrtime.bigint()
  const took = () => Number(process.hrtime.bigint() - from)
  if (way === 'table') {
    const table = Table.open(medium, { bootId: boot, identity: identityFor(rangeBytesFor(count)), crc32c })
    if (table.state.allocations.size !== count) throw new Error(`${table.state.allocations.size} allocations`)
  } else if (way === 'bare') {
    let crc = 0
    const used = count * entityBytes('allocation', allocationAt(0))
    for (let offset = 0; offset < used; offset += chunkBytes) crc ^= crc32c(medium.read(offset, chunkBytes))
    if (crc === 0.5) throw new Error('never')
  } else {
    const sqlite = openSqlite(path.join(folder, 'sqlite'))!
    const rows = sqlite.prepare('SELECT * FROM allocation').all()
    if (rows.length !== count) throw new Error(`${rows.length} rows`)
  }
  return took()
}

if (require.main === module) {
  const [way, folder, count] = process.argv.slice(2)
  openOnce(way!, folder!, Number(count)).then(nanoseconds => {
    console.log(nanoseconds)
    process.exit(0)
  })
}
