/**
 * Proves that the attack does what suites rely on: a process of a stranger's uid can't be looked at for as long as the
 * attack lasts, and nothing of it is left when it ends.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'
import { StuckMemoryLocks } from './stuck-memory-lock'

const stranger = 65532
const suite = needsRoot('processes of other uids that are stuck') ? describe : describe.skip

suite('a memory lock is stuck', () => {
  test.each(['write', 'read'] as const)('held to %s', async way => {
    const locks = await StuckMemoryLocks.start({ uid: stranger, count: 3, way }).catch(
      (error: Error) => error,
    )
    // Kernels before 6.16 do not wait for the page that is written back.
    if (locks instanceof Error && way === 'write' && /does not hold/.test(locks.message)) return
    if (locks instanceof Error) throw locks
    expect(locks.pids).toHaveLength(3)
    const readers = locks.pids.map(pid => spawn('cat', [`/proc/${pid}/cmdline`], { stdio: 'ignore' }))
    const exits = readers.map(reader => once(reader, 'exit'))
    await new Promise(resolve => setTimeout(resolve, 300))
    expect(readers.map(({ exitCode }) => exitCode)).toEqual([null, null, null])
    await locks.end()
    await Promise.all(exits)
    await until(() => !locks.pids.some(pid => existsSync(`/proc/${pid}`)), 'nothing of it is left')
  })
})
