/**
 * Proves that LMDB, as the distribution packages it, keeps its database in broker memory at a path: over restarts of the broker,
 * and when a program is killed while it writes. Prints what opening takes beside loading.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ctlMain } from '../client/support/ctl'
import { attempt, run } from '../support/child'
import { packagedProgram } from '../support/packaged-program'
import { TestBroker } from '../support/test-broker'

const records = 100_000
const header = 'VERSION=3\nformat=print\ntype=btree\nmapsize=67108864\nHEADER=END\n'
const dumpOf = (prefix: string) =>
  Array.from({ length: records }, (_, i) => ` ${prefix}${String(i).padStart(6, '0')}\n value ${i}\n`).join('')

test('what it has committed is there after a kill, of the broker and of itself while it writes', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-lmdb-'))
  const broker = await TestBroker.start({ bytes: 128 * 2 ** 20 })
  try {
    if ((await packagedProgram('mdb_load', path.join(folder, 'bin'))) === undefined) return
    const env = {
      ...process.env,
      MEMBROKER_SOCKET: broker.socket,
      PATH: `${folder}/bin:${process.env.PATH}`,
    }
    writeFileSync(path.join(folder, 'none'), `${header}DATA=END\n`)
    for (const name of ['first', 'later'])
      writeFileSync(path.join(folder, name), `${header}${dumpOf(name)}DATA=END\n`)
    const args = (script: string) => [
      ...[ctlMain, 'exec', '--map', `db:path=${folder}/data,allocate=64M`, '--', 'sh', '-c', script],
    ]
    const sh = (script: string) => run(process.execPath, args(script), { cwd: folder, env })
    const entries = async () => Number(/Entries: (\d+)/.exec(await sh('mdb_stat -n data'))![1])

    await sh(
      'mdb_load -n -f none empty && dd if=empty of=data conv=notrunc status=none && mdb_load -n -f first data',
    )
    const contents = await sh('mdb_dump -n data')
    await broker.restart('SIGKILL')
    expect(await sh('mdb_dump -n data')).toBe(contents)
    expect(await entries()).toBe(records)

    // Killed somewhere in its many transactions: some of them are there, whole.
    for (const afterMs of [0.02, 0.1]) {
      await attempt(process.execPath, args(`timeout -s KILL ${afterMs} mdb_load -n -f later data`), {
        cwd: folder,
        env,
      })
      const found = await entries()
      expect(found).toBeGreaterThanOrEqual(records)
      expect(found).toBeLessThanOrEqual(2 * records)
    }

    const clock = 'date +%s%N'
    const times = await sh(
      `${clock}; mdb_stat -n data >/dev/null; ${clock}; mdb_load -n -f first /dev/shm/$$; ${clock}; rm /dev/shm/$$*`,
    )
    const [start, opened, loaded] = times.trim().split('\n').map(Number) as [number, number, number]
    const ms = (ns: number) => `${(ns / 1e6).toFixed(1)} ms`
    process.stderr.write(
      `LMDB, ${records} records: opened in ${ms(opened - start)}, loaded in ${ms(loaded - opened)}\n`,
    )
  } finally {
    await broker.dispose()
    rmSync(folder, { recursive: true, force: true })
  }
})
