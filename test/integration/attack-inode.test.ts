/**
 * Proves that a holder who keeps its file's inode locked, as a program can for as long as it likes, makes nobody wait:
 * not the broker, not its start, not other tenants. Its own memory is quarantined until it lets go.
 */
import { statSync } from 'node:fs'
import path from 'node:path'
import { memoryOf } from '../program/attacker'
import { StuckInodeLock } from '../program/stuck-inode-lock'
import { neighbour, startWithTenants, type TenantOptions, tenant } from '../program/tenants'
import { leaksNothing } from '../support/leaks-nothing'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { type TestBroker, until } from '../support/test-broker'
import { Witness } from '../support/witness'

const MiB = 2 ** 20
const openByPath = { owner: 'open_by_path = true' }

let broker: TestBroker
let directory: string
let lock: StuckInodeLock | undefined

function against(options: TenantOptions, body: () => Promise<void>): () => Promise<void> {
  return async () => {
    const started = await startWithTenants(options)
    ;({ broker, directory } = started)
    try {
      await leaksNothing(broker, async () => {
        try {
          await body()
        } finally {
          await lock?.end()
        }
      })
    } finally {
      await started.end()
    }
  }
}

/** A tenant's allocation whose file it keeps locked; then the tenant itself is gone. */
async function locked(name: string, before?: (mine: OtherProcess, fd: number) => Promise<void>) {
  const mine = await OtherProcess.start(broker.socket, { uid: tenant })
  const { fd } = await memoryOf(mine, name, MiB)
  await before?.(mine, fd)
  lock = await StuckInodeLock.start({ uid: tenant, pid: mine.pid, fd })
  return mine
}

/** All that somebody else wants of the broker. */
async function neighbourIsServed(): Promise<void> {
  const other = await OtherProcess.start(broker.socket, { uid: neighbour })
  const { fd } = await memoryOf(other, 'theirs', MiB)
  const { outcome } = await other.run(({ client, fs }, fd) => {
    fs.closeSync(fd)
    return client.call('Release', { name: 'theirs', graceMs: 0 })
  }, fd)
  expect(outcome).toBe('released')
  await other.kill()
}

const retired = async () => (await broker.ask('GetStatus', {})).retired
const released = () => until(async () => (await retired()).length === 0, 'the memory is free again')
const size = () => statSync(path.join(directory, 'alloc-1')).size

const suite = needsRoot('attacks by clients of other uids') ? describe : describe.skip

suite('a locked inode', () => {
  test.each([
    { source: 'directory' as const, who: 'anybody' },
    { source: 'directory' as const, who: 'one who may open by path', ...openByPath },
    { source: 'memfd' as const, who: 'anybody' },
    { source: 'memfd' as const, who: 'one who may open by path', ...openByPath },
  ])('of $source memory, kept by $who, makes no release wait', options =>
    against(options, async () => {
      const mine = await locked('mine')
      const witness = new Witness(broker)
      await expect(broker.client().call('Release', { name: 'mine', graceMs: 0 })).resolves.toMatchObject({
        outcome: 'quarantined',
      })
      await neighbourIsServed()
      // Not once only: it is looked at every second.
      await new Promise(resolve => setTimeout(resolve, 2500))
      expect(await retired()).toMatchObject([{ allocation: 'mine', state: 'quarantined' }])
      await witness.demandAnswers()
      await mine.kill()
      await lock!.end()
      await released()
    })(),
  )

  test.each([
    { source: 'directory' as const, can: 'discard nor shrink' },
    { source: 'memfd' as const, can: 'discard' },
  ])('of $source memory makes no $can wait for long, nor anybody else', options =>
    against(options, async () => {
      const mine = await locked('mine')
      const witness = new Witness(broker)
      const discarding = mine.refusal('Discard', { name: 'mine', pieces: [{ offset: 0, length: 4096 }] })
      await neighbourIsServed()
      expect(await discarding).toBe('SourceFailed')
      await witness.demandAnswers()
      await mine.kill()
      await lock!.end()
      const again = await OtherProcess.start(broker.socket, { uid: tenant })
      await again.run(({ client }) => client.call('Claim', { name: 'mine' }))
      const discard = { name: 'mine', pieces: [{ offset: 0, length: 4096 }] }
      await until(async () => (await again.refusal('Discard', discard)) === undefined, 'it discards')
      expect((await broker.ask('GetAllocation', { name: 'mine' })).residentBytes).toBeLessThan(MiB)
      await again.run(({ client }) => client.call('Release', { name: 'mine', graceMs: 0 }))
      // It has the mapping back.
      await again.kill()
      await released()
    })(),
  )

  test(
    'of a file whose end is cut off keeps the end charged until it is gone',
    against({}, async () => {
      const mine = await OtherProcess.start(broker.socket, { uid: tenant })
      await mine.run(({ client }, bytes) => client.call('Allocate', { name: 'mine', bytes }), 2 * MiB)
      const fd = await mine.run(
        async ({ client }, length) => (await client.call('CreateMapping', { name: 'mine', length })).fds[0]!,
        MiB,
      )
      lock = await StuckInodeLock.start({ uid: tenant, pid: mine.pid, fd })
      const witness = new Witness(broker)
      expect(await mine.refusal('Shrink', { name: 'mine', bytes: MiB })).toBeUndefined()
      const charged = async () =>
        (await broker.ask('GetStatus', {})).usage.find(({ uid }) => uid === tenant)!.bytes
      expect([await charged(), await retired()]).toMatchObject([
        2 * MiB,
        [{ bytes: MiB, state: 'quarantined' }],
      ])
      await neighbourIsServed()
      await witness.demandAnswers()
      await lock.end()
      await released()
      expect([await charged(), size()]).toEqual([MiB, MiB])
      await mine.kill()
    }),
  )

  test(
    'of a file that was resized makes no look at it wait, nor a start',
    against({}, async () => {
      const mine = await locked('mine', async (mine, fd) => {
        // While the broker can't put it back.
        process.kill(broker.pid, 'SIGSTOP')
        await mine.run(({ fs }, fd) => fs.ftruncateSync(fd, 4096), fd)
      })
      process.kill(broker.pid, 'SIGCONT')
      const witness = new Witness(broker)
      await until(() => broker.log.includes('not put back yet'), 'it is noticed')
      expect(await mine.refusal('CreateMapping', { name: 'mine' })).toBe('SourceFailed')
      expect(await mine.refusal('Grow', { name: 'mine', bytes: 2 * MiB })).toBe('SourceFailed')
      await neighbourIsServed()
      await witness.demandAnswers()
      broker.closeClients()
      await broker.restart()
      await neighbourIsServed()
      expect(size()).toBe(4096)
      await lock!.end()
      const again = await OtherProcess.start(broker.socket, { uid: tenant })
      await mine.kill()
      await until(
        () =>
          again.run(({ client }) =>
            client.call('Claim', { name: 'mine' }).then(
              () => true,
              () => false,
            ),
          ),
        'it can be claimed',
      )
      expect(size()).toBe(MiB)
    }),
  )
})
