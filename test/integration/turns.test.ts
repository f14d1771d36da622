/**
 * Proves that one owner's slow work keeps no other owner's waiting: memory in quarantine, and memory that is reserved in
 * advance. What an attempt in quarantine breaks ends the broker, what the system refuses it does not; a client that
 * leaves takes its reservation along.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { mapFor, memoryOf } from '../program/attacker'
import { againstTenants, neighbour, tenant } from '../program/tenants'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { packageRoot } from '../support/package-root'
import { type TestBroker, until } from '../support/test-broker'

const page = 4096
const MiB = 2 ** 20
let broker: TestBroker
let directory: string

const against = againstTenants(started => {
  ;({ broker, directory } = started)
})

const as = (uid: number) => OtherProcess.start(broker.socket, { uid })
const retired = async () => (await broker.ask('GetStatus', {})).retired
const suite = needsRoot('clients of other uids') ? describe : describe.skip

/** Starts the broker anew, with attempts of quarantine at memory of the tenant that do this instead. */
async function restartWith(attempt: string): Promise<void> {
  const program = path.join(broker.folder, 'attempt.js')
  const revoker = path.join(packageRoot, 'dist/src/broker/revoke/revoker.js')
  writeFileSync(
    program,
    `const { Revoker } = require(${JSON.stringify(revoker)})
    const { lookOrTake } = Revoker.prototype
    Revoker.prototype.lookOrTake = async function (of, named) {
      if (of.record.uid !== ${tenant}) return lookOrTake.call(this, of, named)
      process.stderr.write('an attempt\\n')
      ${attempt}
    }`,
  )
  await broker.kill()
  // Of the bundle nobody can replace a part.
  broker.program = path.join(packageRoot, 'dist/src/broker/main.js')
  await broker.start(['env', `NODE_OPTIONS=--require=${program}`])
}

/** Released by a process that keeps it. */
async function quarantined(uid: number, names: readonly string[]): Promise<OtherProcess> {
  const holder = await as(uid)
  for (const name of names) await memoryOf(holder, name, page)
  await holder.run(async ({ client }, names) => {
    const releases = names.map(name => client.call('Release', { name, graceMs: 0 }))
    await Promise.allSettled(releases)
  }, names)
  return holder
}

suite('quarantine', () => {
  test(
    "gives an owner's memory back while another's attempts have no end",
    against({}, async () => {
      await restartWith('return new Promise(() => {})')
      const slow = Array.from({ length: 40 }, (_, index) => `slow/${index}`)
      await quarantined(tenant, slow)
      await until(() => broker.log.includes('an attempt'), 'the attempts have begun')
      const holder = await quarantined(neighbour, ['theirs'])
      expect(await retired()).toHaveLength(slow.length + 1)
      await holder.kill()
      const isBack = async () => !(await retired()).some(({ uid }) => uid === neighbour)
      await until(isBack, 'the memory is free again')
      expect(await retired()).toHaveLength(slow.length)
      await OtherProcess.killAll()
      broker.closeClients()
      await broker.restart()
      await until(async () => (await retired()).length === 0, 'all memory is free again')
    }),
  )

  test(
    'ends the broker when an attempt breaks an invariant, and the next one finishes it',
    against({}, async () => {
      await restartWith('return undefined.kind')
      const broken = broker.process!
      await quarantined(tenant, ['broken'])
      await until(() => broken.exitCode !== null, 'the broker has ended')
      expect(broken.exitCode).toBe(1)
      expect(broker.log).toContain('"msg":"internal error"')
      await OtherProcess.killAll()
      broker.closeClients()
      await broker.start()
      await until(async () => (await retired()).length === 0, 'the memory is free again')
    }),
  )

  test(
    'is repeated when the system has failed',
    against({}, async () => {
      await restartWith("throw Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'read' })")
      await quarantined(tenant, ['failing'])
      await until(() => broker.log.split('it stays retired').length > 2, 'the second attempt')
      expect(await retired()).toMatchObject([{ allocation: 'failing', state: 'quarantined' }])
      await OtherProcess.killAll()
      broker.closeClients()
      await broker.restart()
      await until(async () => (await retired()).length === 0, 'the memory is free again')
    }),
  )
})

function workers(): number[] {
  const children = readFileSync(`/proc/${broker.pid}/task/${broker.pid}/children`, 'latin1')
  return children.split(' ').filter(Boolean).map(Number)
}
const memoryFiles = () => readdirSync(directory).filter(name => name.startsWith('alloc-'))

/** A tenant has much memory made, and the kernel does not come back with it. */
async function reserving(): Promise<{ mine: OtherProcess; goOn: () => void }> {
  const mine = await as(tenant)
  await until(() => workers().length === 1, 'one worker is left')
  const [worker] = workers() as [number]
  process.kill(worker, 'SIGSTOP')
  await mine.run(({ client, state }, bytes) => {
    state.made = 0
    state.calls = ['a', 'b', 'c', 'd'].map(async name => {
      await client.call('Allocate', { name, bytes })
      state.made++
    })
    for (const call of state.calls) call.catch(() => {})
  }, 64 * MiB)
  await until(() => memoryFiles().length > 0, 'it has begun')
  const goOn = () => {
    try {
      process.kill(worker, 'SIGCONT')
    } catch (error) {
      // Given up meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  return { mine, goOn }
}

suite('memory that is reserved in advance', () => {
  const preallocated = { range: 'preallocate = true' }

  test(
    'is made for a tenant while that of another is waited for',
    against(preallocated, async () => {
      // Before: a worker that stands still is given up after a while.
      const other = await as(neighbour)
      const { mine, goOn } = await reserving()
      const call = other.refusal('Allocate', { name: 'theirs', bytes: 2 * MiB })
      const late = new Promise(resolve => setTimeout(resolve, 20_000, 'it waits').unref())
      expect(await Promise.race([call, late])).toBeUndefined()
      expect(await mine.run(({ state }) => state.made)).toBe(0)
      goOn()
      expect(await mine.run(({ state }) => Promise.all(state.calls).then(() => state.made))).toBe(4)
      await mapFor(mine, 'd')
    }),
  )

  test(
    'is given up when the client has left, and nothing of it stays',
    against(preallocated, async () => {
      const free = await broker.freeBytes()
      const { mine, goOn } = await reserving()
      await mine.kill()
      const others = async () => (await broker.ask('ListClients', {})).clients
      await until(async () => !(await others()).some(({ uid }) => uid === tenant), 'it is gone')
      goOn()
      await until(() => memoryFiles().length === 0, 'no file is left')
      await until(async () => (await broker.freeBytes()) === free, 'all is free')
      expect(await broker.ask('GetStatus', {})).toMatchObject({ allocations: 0 })
    }),
  )
})
