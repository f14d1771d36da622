/**
 * Proves that what the environment does to the broker's watch over its files (no inotify instance or watch is left, a
 * file that runs as a program), and what a holder does to it, does not end the broker, and that resized files are put back all the same.
 */

import { readdirSync, readFileSync, statSync, truncateSync } from 'node:fs'
import path from 'node:path'
import { Attacker, attackerProgram, memoryOf } from '../program/attacker'
import { startWithTenants, tenant } from '../program/tenants'
import { runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'

const page = 4096
const MiB = 2 ** 20

const suite = needsRoot('a user namespace with limits of its own') ? describe : describe.skip

suite('the kernel has no notices left for the broker', () => {
  const limit = (name: string, value: number) => `echo ${value} >/proc/sys/user/max_inotify_${name}`
  /** Becomes the broker, in a user namespace whose limits are its own. */
  const launcher = (before: string) => ['unshare', '-Ur', 'sh', '-c', `${before}; exec "$0" "$@"`]
  const within = (broker: TestBroker, command: string) =>
    runNow('nsenter', ['--user', '--preserve-credentials', '-t', String(broker.pid), 'sh', '-c', command])

  /** Resizes the file of the first allocation and waits until it is as before. */
  async function isPutBack(broker: TestBroker): Promise<void> {
    const file = path.join(broker.directory, 'alloc-1')
    truncateSync(file, page)
    await until(() => statSync(file).size === MiB, 'it is put back')
  }

  test('from its start on', async () => {
    const broker = await TestBroker.start({ launcher: launcher(limit('instances', 0)) })
    try {
      expect(broker.log).toContain('no notices of changed files')
      await broker.client().call('Allocate', { name: 'mine', bytes: MiB })
      await isPutBack(broker)
      within(broker, limit('instances', 128))
      await until(() => broker.log.includes('not limited any more'), 'it gets notices again')
      await isPutBack(broker)
    } finally {
      await broker.dispose()
    }
  })

  test('while a holder makes more of them than the broker reads', async () => {
    const broker = await TestBroker.start({ launcher: launcher('true') })
    try {
      const files: string[] = []
      for (const name of ['mine', 'other']) {
        await broker.client().call('Allocate', { name, bytes: MiB })
        const { fds } = await broker.client().call('CreateMapping', { name })
        files.push(`/proc/${process.pid}/fd/${fds[0]}`)
      }
      within(broker, limit('watches', 0))
      const attacker = await OtherProcess.start(broker.socket)
      await attacker.run(({ fs }, files) => {
        const fds = files.map(file => fs.openSync(file, 'r+'))
        // In turns, as the kernel merges a notice with an equal one before it.
        for (let count = 0; count < 20_000; count++) fs.writeSync(fds[count % 2]!, 'x', 0)
      }, files)
      await isPutBack(broker)
      await attacker.kill()
      await isPutBack(broker)
      expect(broker.log).not.toContain('no notices of changed files')
    } finally {
      await broker.dispose()
    }
  })
})

suite('a file that is resized and runs as a program', () => {
  test('ends no broker, and is put back when it ends', async () => {
    const { broker, directory, end } = await startWithTenants({ owner: 'open_by_path = true' })
    try {
      const mine = await OtherProcess.start(broker.socket, { uid: tenant })
      const program = readFileSync(attackerProgram)
      const bytes = Math.ceil(program.length / page) * page
      const { fd } = await memoryOf(mine, 'program', bytes)
      const file = path.join(directory, readdirSync(directory).find(name => name.startsWith('alloc-1-'))!)
      // Its copy of the descriptor is closed when it answers the next call.
      await broker.ask('GetStatus', {})
      process.kill(broker.pid, 'SIGSTOP')
      const readable = await mine.run(
        ({ fs }, { fd, text, bytes }) => {
          fs.writeSync(fd, Buffer.from(text, 'base64'))
          fs.fchmodSync(fd, 0o700)
          fs.ftruncateSync(fd, bytes)
          const readable = fs.openSync(`/proc/self/fd/${fd}`, 'r')
          fs.closeSync(fd)
          return readable
        },
        { fd, text: program.toString('base64'), bytes: bytes + page },
      )
      const attacker = await Attacker.start(mine, ['hold'], [readable], '/proc/self/fd/3')
      expect(attacker.answer).toBe('ready')
      process.kill(broker.pid, 'SIGCONT')
      await until(() => broker.log.includes('not put back yet'), 'it is noticed')
      expect(await mine.refusal('CreateMapping', { name: 'program', access: 'read' })).toBe('SourceFailed')
      // Nor does the program that is left running keep the next one from starting.
      broker.closeClients()
      await broker.restart()
      await expect(broker.ask('ListRanges', {})).resolves.toMatchObject({
        ranges: [{ state: 'online' }],
      })
      expect(statSync(file).size).toBe(bytes + page)
      await attacker.end()
      await until(() => statSync(file).size === bytes, 'it is put back')
      const status = await broker.ask('GetStatus', {})
      expect(status.allocations).toBe(1)
    } finally {
      await end()
    }
  })
})
