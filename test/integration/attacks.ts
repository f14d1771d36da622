import { buildProgram } from '../guest/build'
import { Attacker, memoryOf } from '../program/attacker'
import { StuckMemoryLocks } from '../program/stuck-memory-lock'
import type { LoadClient } from '../support/load/load'
import type { rounds } from '../support/load/rounds'
import type { OtherProcess } from '../support/other-process'

const page = 4096
const MiB = 2 ** 20

/** Two tenants who do nothing wrong, an owner who attacks, and uids that have no right at all. */
export const tenant = 65534
export const neighbour = 65533
export const villain = 65532
const strangers = [65531, 65530, 65529, 65528] as const
const stranger = strangers[0]

/** Where the attacks happen. */
export interface Stage {
  /** The broker's. */
  readonly socket: string
  /** A client in a process of its own. It ends with the scene. */
  as(uid: number): Promise<OtherProcess>
  /** Has a client go on calling. */
  loop<Name extends keyof typeof rounds>(
    client: OtherProcess,
    round: Name,
    ...input: Parameters<(typeof rounds)[Name]>
  ): Promise<LoadClient>
  /** A command that becomes the rest of its arguments, in the pid namespace of the broker. */
  readonly launcher: readonly string[]
}

/** Ends what does not end with its processes. */
export type End = () => Promise<void>

export interface Attack {
  name: string
  /** Begins it; the broker is killed and started later on. */
  begin(stage: Stage): Promise<End | undefined>
  /** Takes up what has ended with the broker. */
  again?(stage: Stage): Promise<End | undefined>
  /** Ranges that the tenants have memory of. Default: files and sealed. */
  ranges?: readonly string[]
  /** Refusals that tenants rightly meet with. */
  expected?: readonly string[]
  /** What RevokeMapping may say besides 'revoked', where processes can't be looked at. */
  outcomes?: readonly 'quarantined'[]
  /** What the broker is started by. */
  launcher?: () => readonly string[]
}

/** Programs of test/program. */
const build = (name: string, flags: readonly string[] = []) => {
  const binary = buildProgram(`test/program/${name}.c`, flags)
  if (binary === undefined) throw new Error('the attacks are written in C: install gcc')
  return binary
}

const message = (method: string, parameters: object = {}, more = false) =>
  JSON.stringify({ method: `io.membroker.Broker.${method}`, parameters, ...(more && { more }) })

/** A child of that process, in place when this resolves. */
async function attack(parent: OtherProcess, program: string, words: (string | number)[], fds: number[] = []) {
  const attacker = await Attacker.start(parent, words.map(String), fds, program)
  if (attacker.answer !== 'ready') throw new Error(`the attack ${words[0]}: ${attacker.answer}`)
}

/** Connections of a uid's process, as flooder.c has them. */
async function flood(stage: Stage, uid: number, count: number, way: string, ...calls: string[]) {
  await attack(await stage.as(uid), build('flooder'), [stage.socket, count, way, ...calls])
}

const burden = (parent: OtherProcess, words: (string | number)[], fds: number[] = []) =>
  attack(parent, build('burden', ['-pthread']), words, fds)

async function stuck(stage: Stage, uid: number, count: number, connected = false): Promise<End> {
  const { socket, launcher } = stage
  const locks = await StuckMemoryLocks.start({ uid, count, launcher, ...(connected && { socket }) })
  return () => locks.end()
}

/** One page each, by that process; shared with these uids. */
function lend(
  owner: OtherProcess,
  prefix: string,
  count: number,
  uids: readonly number[] = [],
  range = 'files',
): Promise<string[]> {
  return owner.run(
    async ({ client }, { prefix, count, uids, range }) => {
      const names = Array.from({ length: count }, (_, index) => `${prefix}/${index}`)
      for (const name of names) {
        await client.call('Allocate', { name, bytes: 4096, range })
        for (const uid of uids) await client.call('Share', { name, uid, access: 'readWrite' })
      }
      return names
    },
    { prefix, count, uids, range },
  )
}

/**
 * That one of two mappings is gone while the other is in use needs a look at all processes. Who asks waits for half a second of it at
 * most, and it proves nothing where somebody was not seen.
 */
const scanned = { outcomes: ['quarantined'] } as const

async function withoutEnd(work: Promise<unknown>): Promise<undefined> {
  await work
}

export const attacks: readonly Attack[] = [
  {
    name: 'memory locks of many processes are stuck',
    ...scanned,
    begin: stage => stuck(stage, stranger, 100),
  },
  {
    name: 'its own memory lock is stuck when it asks who is connected',
    ...scanned,
    begin: async stage => {
      await stage.loop(await stage.as(stranger), 'lookAtClients')
      return stuck(stage, stranger, 20, true)
    },
    again: stage => stuck(stage, stranger, 20, true),
  },
  {
    name: '40 processes have 20,000 descriptors each',
    ...scanned,
    begin: async stage => withoutEnd(burden(await stage.as(stranger), ['descriptors', 40, 20_000])),
  },
  {
    name: '60 threads change the protection of memory',
    ...scanned,
    begin: async stage => withoutEnd(burden(await stage.as(stranger), ['protect', 60, stage.socket])),
  },
  {
    name: 'the holder of a file fills and empties it',
    begin: async stage => {
      const holder = await stage.as(villain)
      const names = ['files', 'sealed'].map(range => `punched/${range}`)
      for (const name of [...names, 'punched/released']) {
        const { fd } = await memoryOf(holder, name, 256 * MiB, name.endsWith('sealed') ? 'sealed' : 'files')
        await burden(holder, ['punch', 4, 256 * MiB], [fd])
      }
      await holder.run(({ client }) => client.call('Release', { name: 'punched/released', graceMs: 0 }))
      await stage.loop(holder, 'remap', names)
      return undefined
    },
  },
  {
    name: '2,045 connections have two calls of 64 KiB waiting',
    begin: stage =>
      withoutEnd(flood(stage, stranger, 2045, 'deaf', message('Watch', {}, true), '@65000', '@65000')),
  },
  {
    name: '1,000 connections call as fast as they can',
    begin: async stage => {
      await flood(stage, stranger, 600, 'call', message('GetStatus'))
      await flood(stage, stranger, 400, 'call', message('ListClients'))
      return undefined
    },
  },
  {
    name: '1,000 connections call as much as they can, and hang up',
    begin: stage => withoutEnd(flood(stage, stranger, 1000, 'drop', message('ListRanges'))),
  },
  {
    name: 'two uids have as many connections as they get, and do nothing',
    begin: async stage => {
      for (const uid of strangers.slice(0, 2)) await flood(stage, uid, 2048, 'idle')
      return undefined
    },
  },
  {
    name: 'grants with descriptors are not read',
    begin: async stage => {
      const names = await lend(await stage.as(villain), 'lent', 200, [stranger], 'many')
      const lists = Array.from({ length: 6 }, () => message('ListAllocations'))
      const grants = names.map(name => message('CreateMapping', { name }))
      await flood(stage, stranger, 40, 'deaf', ...lists, ...grants, ...grants, ...grants)
      return undefined
    },
  },
  {
    name: 'an owner by path makes its file longer and runs it',
    begin: async stage => {
      for (let index = 0; index < 4; index++) {
        const holder = await stage.as(villain)
        const { fd } = await memoryOf(holder, `program/${index}`, MiB, 'files')
        await burden(holder, ['execute'], [fd])
      }
      return undefined
    },
  },
  {
    name: 'no inotify instance is left',
    // In a user namespace nobody outside of it can be looked at.
    outcomes: ['quarantined'],
    launcher: () => [build('burden', ['-pthread']), 'without-inotify'],
    begin: async stage => {
      const holder = await stage.as(villain)
      const { fd } = await memoryOf(holder, 'resized', MiB, 'files')
      await attack(holder, build('attacker'), ['resize', 1], [fd])
      await stage.loop(holder, 'remap', ['resized'])
      return undefined
    },
  },
  {
    name: 'four uids without a right keep mappings of what is shared with them',
    begin: async stage => {
      const names = await lend(await stage.as(villain), 'lent', 40, strangers)
      for (const uid of strangers) await stage.loop(await stage.as(uid), 'hoard', names)
      return undefined
    },
  },
  {
    name: 'an owner makes and ends memfds as fast as it can',
    begin: async stage => {
      for (const prefix of ['storm/a', 'storm/b'])
        await stage.loop(await stage.as(villain), 'churn', prefix, 'sealed', 64, page)
      return undefined
    },
  },
  {
    name: 'an owner has much memory made at once',
    ranges: ['files', 'sealed', 'reserved'],
    begin: async stage =>
      withoutEnd(stage.loop(await stage.as(villain), 'churn', 'large', 'reserved', 6, 256 * MiB)),
  },
  {
    name: 'hundreds of allocations are in quarantine, and stuck processes hold them',
    ...scanned,
    begin: async stage => {
      const holder = await stage.as(villain)
      const names = await lend(holder, 'held', 400)
      await holder.run(async ({ client, native, state }, names) => {
        state.kept = []
        for (const name of names) {
          const { fds } = await client.call('CreateMapping', { name })
          state.kept.push(native.dupFd(fds[0]!))
          client.closeFd(fds[0]!)
        }
        // Each takes its time: nobody waits for it here.
        for (const name of names) client.call('Release', { name, graceMs: 0 }).catch(() => {})
      }, names)
      return stuck(stage, villain, 10)
    },
  },
  {
    name: 'digests of thousands of allocations are taken and dropped',
    expected: ['Frozen'],
    begin: async stage => {
      const many = await stage.as(villain)
      await many.run(async ({ client }) => {
        for (let lot = 0; lot < 50; lot++)
          await Promise.all(
            Array.from({ length: 200 }, (_, index) =>
              client.call('Allocate', { name: `many/${lot}/${index}`, bytes: 4096, range: 'many' }),
            ),
          )
      })
      const administrator = await stage.as(0)
      const freezing = await stage.loop(administrator, 'freeze')
      return async () => {
        await freezing.stop()
        await administrator.run(({ connect }) => connect().call('Thaw', {}))
      }
    },
  },
  {
    name: 'a holder of what others lend is stopped',
    begin: async stage => {
      const owner = await stage.as(tenant)
      const names = await lend(owner, 'lent', 50, [villain])
      const holder = await stage.as(villain)
      const mappings = await holder.run(async ({ client }, names) => {
        const mappings: number[] = []
        for (const name of names) {
          const { grant } = await client.call('CreateMapping', { name })
          mappings.push(grant.mapping.id)
        }
        client.stream('Watch', {}).next()
        return mappings
      }, names)
      await holder.run(() => void setTimeout(() => process.kill(process.pid, 'SIGSTOP'), 10))
      await stage.loop(owner, 'takeBack', mappings)
      return undefined
    },
  },
  {
    name: '1,000 connections watch and read nothing',
    begin: async stage => {
      await flood(stage, villain, 1000, 'deaf', message('Watch', {}, true))
      await stage.loop(await stage.as(villain), 'churn', 'seen', 'files', 64, page)
      return undefined
    },
  },
]
