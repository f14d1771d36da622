/**
 * Proves that one peer's messages cost nobody else anything: descriptors with a message that never ends, metadata that
 * blinds its readers, calls by the thousand, replies that are not read, a connection that outlives its process.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { nestingMax } from '../../protocol/wire/limits'
import { buildLibrary } from '../guest/build'
import { Attacker } from '../program/attacker'
import { againstTenants, neighbour, tenant } from '../program/tenants'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { packageRoot } from '../support/package-root'
import { RawClient } from '../support/raw-client'
import { type TestBroker, TestClient, until } from '../support/test-broker'
import { Witness } from '../support/witness'

const page = 4096
const MiB = 2 ** 20
let broker: TestBroker

const against = againstTenants(started => {
  broker = started.broker
})

function oldKernel(): string {
  const library = buildLibrary('test/program/old-kernel.c')
  if (library === undefined) throw new Error('the other kernel is written in C: install gcc')
  return library
}

const as = (uid: number) => OtherProcess.start(broker.socket, { uid })
const suite = needsRoot('attacks by clients of other uids') ? describe : describe.skip

suite('descriptors with a message that never ends', () => {
  test(
    'are not kept, however many connections send them',
    against({}, async () => {
      const before = broker.openFds().length
      const peers = Array.from({ length: 20 }, () => new RawClient(broker.socket))
      for (const peer of peers)
        peer.send(
          '{',
          Array.from({ length: 120 }, () => openSync('/dev/null', 'r')),
        )
      await until(() => broker.openFds().length <= before + 2 * peers.length, 'they are closed')
      await until(() => peers.every(peer => peer.ended !== undefined), 'the connections are ended')
    }),
  )

  test(
    'do not make the broker itself the one who holds memory',
    against({}, async () => {
      const client = broker.client()
      await client.call('Allocate', { name: 'own', bytes: page })
      const { fds } = await client.call('CreateMapping', { name: 'own' })
      const peer = new RawClient(broker.socket)
      peer.send('{', [openSync(`/proc/self/fd/${fds[0]}`, 'r+')])
      client.closeFd(fds[0]!)
      // In flight to the broker it is held by nobody that can be seen; it has come when the connection is ended for it.
      await peer.untilEnded()
      await expect(client.call('Release', { name: 'own', graceMs: 0 })).resolves.toMatchObject({
        outcome: 'released',
      })
      peer.close()
    }),
  )
})

suite('metadata of any depth', () => {
  test(
    'is refused by name, or read by everybody who may',
    against({}, async () => {
      const mine = await as(tenant)
      const accepted = await mine.run(
        async ({ client }, [depthMax, uid]) => {
          const names: string[] = []
          for (let depth = 1; depth <= depthMax; depth++) {
            const metadata = JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`)
            const name = `deep/${depth}`
            try {
              await client.call('Allocate', { name, bytes: 4096, metadata })
            } catch (error) {
              const { error: code } = error as { error?: string }
              if (!/Invalid(Argument|Parameter)$/.test(String(code))) throw error
              continue
            }
            names.push(name)
            await client.call('SetMetadata', { name, metadata })
            const { fds } = await client.call('CreateMapping', { name, metadata })
            client.closeFd(fds[0]!)
            await client.call('Share', { name, uid, access: 'read' })
          }
          return names
        },
        [nestingMax - 4, neighbour] as const,
      )
      expect(accepted.length).toBeGreaterThan(0)
      for (const uid of [0, neighbour]) {
        const reader = await as(uid)
        const seen = await reader.run(async ({ client }, names) => {
          const { allocations } = await client.call('ListAllocations', {})
          for (const name of names) await client.call('GetAllocation', { name })
          let watched = 0
          for await (const { allocations, snapshotEnd } of client.stream('Watch', {})) {
            watched += allocations?.length ?? 0
            if (snapshotEnd) break
          }
          return [allocations.length, watched]
        }, accepted)
        expect(seen).toEqual([accepted.length, accepted.length])
      }
      await mine.kill()
      const again = await as(tenant)
      const outcomes = await again.run(async ({ client }) => {
        const outcomes: string[] = []
        for await (const { outcome } of client.stream('Claim', { prefix: 'deep/' })) outcomes.push(outcome)
        return outcomes
      })
      expect(outcomes).toEqual(accepted.map(() => 'claimed'))
    }),
  )
})

suite('calls by the thousand', () => {
  const calls = 20_000

  test(
    'of one connection do not come before the calls of others',
    against({ range: 'table_bytes = "16MiB"' }, async () => {
      const owner = await OtherProcess.start(broker.socket)
      await owner.run(async ({ client }) => {
        for (let index = 0; index < 1500; index++)
          await client.call('Allocate', { name: `vm-${index}`, bytes: 4096 })
      })
      const attacker = await as(tenant)
      let attacking = true
      const attack = attacker.run(async ({ client }, calls) => {
        const all = Array.from({ length: calls }, () => client.call('ListAllocations', { prefix: 'vm' }))
        await all[0]
        const from = Date.now()
        await Promise.all(all)
        return { from, to: Date.now() }
      }, calls)
      const attacked = attack.finally(() => {
        attacking = false
      })
      const answered: number[] = []
      const client = broker.client()
      while (attacking) {
        await client.call('GetStatus', {})
        answered.push(Date.now())
      }
      const { from, to } = await attacked
      const meanwhile = answered.filter(time => time >= from && time <= to).length
      // However slow the machine: what is done in a slice of time is the most that comes before another's call.
      expect(meanwhile).toBeGreaterThan(calls / 256)
    }),
  )
})

suite('replies that are not read', () => {
  const connections = 100
  const rssBytes = () => {
    const kiB = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${broker.pid}/status`, 'latin1'))![1]
    return Number(kiB) * 1024
  }

  test(
    'cost the one who does not read them its connections, and nobody else',
    against({ range: 'table_bytes = "16MiB"' }, async () => {
      const mine = await as(tenant)
      await mine.run(async ({ client }) => {
        const metadata = { text: 'x'.repeat(4000) }
        for (let index = 0; index < 256; index++)
          await client.call('Allocate', { name: `long/${index}`, bytes: 4096, metadata })
      })
      const before = rssBytes()
      const other = await as(neighbour)
      const witness = new Witness(broker)
      await mine.run(
        async ({ native, state }, [connections, socket]) => {
          state.silent = []
          const call = Buffer.from(
            `${JSON.stringify({ method: 'io.membroker.Broker.ListAllocations', parameters: {} })}\0`,
          )
          // Each reads the beginning of its first reply, and no more.
          const begin = () =>
            new Promise<void>(resolve => {
              const peer = new native.Socket(native.connectUnix(socket), {
                onData: () => {
                  peer.pause()
                  resolve()
                },
                onEnd: () => resolve(),
                onDrain: () => {},
              })
              for (let asked = 0; asked < 20; asked++) peer.send(call, [])
              state.silent.push(peer)
            })
          await Promise.all(Array.from({ length: connections }, begin))
        },
        [connections, broker.socket] as const,
      )
      await until(
        async () => (await other.run(({ client }) => client.call('GetStatus', {}))).clients < connections / 2,
        'enough are dropped',
      )
      await witness.demandAnswers()
      // Each connection may keep 4 MiB waiting; the rest is what a garbage collector leaves lying about.
      expect(rssBytes() - before).toBeLessThan(connections * 3 * MiB)
      expect(await other.refusal('Allocate', { name: 'other', bytes: page })).toBeUndefined()
    }),
  )
})

suite('a connection whose process is gone', () => {
  const call = (method: string, parameters: object, more = false) =>
    JSON.stringify({ method: `io.membroker.Broker.${method}`, parameters, more })

  test(
    'is told nothing of the next process of that number',
    against({}, async () => {
      const mine = await as(tenant)
      const watch = call('Watch', { mine: true }, true)
      const heir = await Attacker.start(mine, ['heir', broker.socket, watch])
      const pid = /^ready (\d+)$/.exec(heir.answer)![1]!
      const root = await OtherProcess.start(broker.socket)
      const reborn = await Attacker.start(root, [
        ...['reborn', pid, String(neighbour), broker.socket],
        call('Allocate', { name: 'secret-name', bytes: page }),
        call('CreateMapping', { name: 'secret-name' }),
      ])
      expect(reborn.answer).toBe('ready')
      const client = broker.client()
      expect((await client.call('GetAllocation', { name: 'secret-name' })).mappings).toMatchObject([
        { pid: Number(pid) },
      ])
      let told = ''
      for (let line = await heir.again(); line !== ''; line = await heir.next()) told += line
      expect(told).not.toContain('secret-name')
      expect(told).not.toContain('"kind"')
      await reborn.end()
    }),
  )

  test.each<[string, () => string[]]>([
    ['this', () => []],
    ['one before 6.5, which gives no pidfd of a peer', () => ['env', `LD_PRELOAD=${oldKernel()}`]],
  ])('does not become the next process of that number, on a kernel like %s', async (_, launcher) => {
    await against({}, async () => {
      await broker.kill()
      await broker.start(launcher())
      const mine = await as(tenant)
      const grab = call('CreateMapping', { name: 'with-secret' })
      // The process is gone before the broker accepts its connection.
      process.kill(broker.pid, 'SIGSTOP')
      const heir = await Attacker.start(mine, ['heir', broker.socket, call('GetStatus', {}), grab])
      process.kill(broker.pid, 'SIGCONT')
      const pid = /^ready (\d+)$/.exec(heir.answer)![1]!
      const root = await OtherProcess.start(broker.socket)
      const reborn = await Attacker.start(root, [
        ...['reborn', pid, String(tenant), broker.socket],
        call('Allocate', { name: 'with-secret', bytes: page, secret: 'a secret' }),
        call('CreateMapping', { name: 'with-secret' }),
      ])
      expect(reborn.answer).toBe('ready')
      let told = ''
      const listen = async () => {
        for (let line = await heir.again(); line !== ''; line = await heir.next()) told += `${line}\n`
        return told.trim().split('\n').length === 2
      }
      await until(listen, 'both calls are answered')
      expect(told).toContain('io.membroker.Broker.PermissionDenied')
      const { mappings } = await broker.ask('GetAllocation', { name: 'with-secret' })
      expect(mappings).toHaveLength(1)
      await reborn.end()
    })()
  })
})

/** The socket is there a moment before anybody listens at it. */
async function listening(socket: string): Promise<TestClient> {
  let client: TestClient | undefined
  await until(() => {
    try {
      client = new TestClient(socket)
    } catch {}
    return client !== undefined
  }, 'it listens')
  return client!
}

suite('a broker that may not give files away', () => {
  let own: ChildProcess | undefined
  let folder: string
  let memory: string

  afterEach(async () => {
    if (own && own.exitCode === null && own.signalCode === null) {
      own.kill('SIGKILL')
      await once(own, 'exit')
    }
    for (const made of [folder, memory]) rmSync(made, { recursive: true, force: true })
  })

  test.each([
    ['by nobody', ''],
    ['by path', 'open_by_path = true'],
  ])('leaves nothing of an allocation that it can not make, opened %s', async (_, opened) => {
    folder = mkdtempSync('/tmp/membroker-attack-')
    memory = mkdtempSync('/dev/shm/membroker-attack-')
    for (const made of [folder, memory]) chownSync(made, tenant, tenant)
    const socket = path.join(folder, 'broker.sock')
    const config = path.join(folder, 'broker.toml')
    writeFileSync(
      config,
      `[[range]]\nname = "default"\nsource = "directory"\npath = "${memory}"\nbytes = "16MiB"\n` +
        `[[owner]]\nuid = 0\n${opened}\n`,
    )
    const main = path.join(packageRoot, 'dist/program/membrokerd.js')
    own = spawn(process.execPath, [main, '--config', config, '--socket', socket], {
      uid: tenant,
      gid: tenant,
      stdio: 'ignore',
    })
    const client = await listening(socket)
    const fds = () => readdirSync(`/proc/${own!.pid}/fd`).length
    await client.call('GetStatus', {})
    const before = { fds: fds(), files: readdirSync(memory) }
    for (let attempt = 0; attempt < 20; attempt++)
      await client.call('Allocate', { name: 'made', bytes: page }).then(
        () => client.call('Release', { name: 'made' }),
        error => expect(error.error).toBe('io.membroker.Broker.SourceFailed'),
      )
    await until(() => fds() <= before.fds + 1, 'no descriptor is left')
    await until(() => readdirSync(memory).length === before.files.length, 'no file is left')
    client.close()
  })
})
