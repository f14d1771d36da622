/**
 * Proves that what a client does to its own descriptors by system calls (a lease, O_PATH, a second name, memory beyond
 * the end, running it as a program) neither stops the broker, nor keeps memory that was released, nor gets more of it.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Attacker, attackerProgram, memoryOf } from '../program/attacker'
import { neighbour, startWithTenants, type TenantOptions, tenant } from '../program/tenants'
import { runNow } from '../support/child'
import { leaksNothing } from '../support/leaks-nothing'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'
import { Witness } from '../support/witness'

const page = 4096
const MiB = 2 ** 20
const kill = '[revoke]\ngrace_ms = 100\non_deadline = "kill"\n'
const openByPath = { owner: 'open_by_path = true' }
const refused = expect.stringMatching(/^refused/)

let broker: TestBroker
let directory: string
let names: string[] = []

/** A test body with a broker of its own; nothing may be left when it is done. */
function against(options: TenantOptions, body: () => Promise<void>): () => Promise<void> {
  return async () => {
    const started = await startWithTenants(options)
    ;({ broker, directory } = started)
    try {
      await leaksNothing(broker, body)
    } finally {
      await started.end()
      for (const name of names.splice(0)) rmSync(name, { force: true })
    }
  }
}

const client = () => OtherProcess.start(broker.socket, { uid: tenant })
const retired = async () => (await broker.ask('GetStatus', {})).retired
const released = () => until(async () => (await retired()).length === 0, 'the memory is free again')
const onBoth = (['directory', 'memfd'] as const).flatMap(source => [
  { source, owner: '', who: 'anybody' },
  { source, ...openByPath, who: 'one who may open by path' },
])

const suite = needsRoot('attacks by clients of other uids') ? describe : describe.skip
suite('a lease', () => {
  test.each(onBoth)('by $who on $source memory stops nobody, whatever is asked about it', async options => {
    await against(options, async () => {
      const mine = await client()
      const { mapping, fd } = await memoryOf(mine, 'leased', page)
      const attacker = await Attacker.start(mine, ['lease'], [fd])
      // Only who owns the file can take one, and files are given to those only who may open them by path.
      expect(attacker.answer).toEqual(options.owner ? 'ready' : refused)
      // A broker that opens the file as everybody does waits as long as the kernel lets a lease last, 45 s.
      const witness = new Witness(broker)
      for (const [method, parameters] of [
        ['CreateMapping', { name: 'leased', access: 'read' }],
        ['CreateMapping', { name: 'leased' }],
        ['Grow', { name: 'leased', bytes: 2 * page }],
      ] as const)
        expect([undefined, 'SourceFailed', 'Busy']).toContain(await mine.refusal(method, parameters))
      const boss = broker.client()
      await boss.call('RevokeMapping', { mapping, graceMs: 0 })
      await expect(boss.call('Release', { name: 'leased', graceMs: 0 })).resolves.toMatchObject({
        outcome: 'quarantined',
      })
      await witness.demandAnswers()
      await attacker.end()
      await mine.kill()
      await released()
    })()
  })

  test(
    'does not keep a broker from starting',
    against(openByPath, async () => {
      const mine = await client()
      const { fd } = await memoryOf(mine, 'leased', page)
      expect((await Attacker.start(mine, ['lease'], [fd])).answer).toBe('ready')
      broker.closeClients()
      await broker.restart()
      const { ranges } = await broker.ask('ListRanges', {})
      expect(ranges).toMatchObject([{ state: 'online' }])
    }),
  )
})

suite('a descriptor that only names the file', () => {
  test.each(['directory', 'memfd'] as const)(
    'does not reach %s memory after its mapping was revoked',
    async source => {
      await against({ source }, async () => {
        const mine = await client()
        const { mapping, fd } = await memoryOf(mine, 'named', page)
        const attacker = await Attacker.start(mine, ['path'], [fd])
        const { outcome } = await mine.run(
          ({ client }, mapping) => client.call('RevokeMapping', { mapping, graceMs: 0 }),
          mapping,
        )
        expect(outcome).toBe('revoked')
        expect(await attacker.again()).toEqual(refused)
      })()
    },
  )

  test.each(onBoth)('by $who does not reach $source memory after its release', async options => {
    await against(options, async () => {
      const mine = await client()
      const { fd } = await memoryOf(mine, 'named', 4 * MiB)
      const attacker = await Attacker.start(mine, ['path'], [fd])
      const { outcome } = await mine.run(({ client }) =>
        client.call('Release', { name: 'named', graceMs: 0 }),
      )
      expect(outcome).toBe('released')
      expect(await attacker.again()).toEqual(refused)
    })()
  })
})

suite('a second name', () => {
  test.each([
    { owner: '', who: 'anybody' },
    { ...openByPath, who: 'one who may open by path' },
  ])('by $who keeps no memory and no contents after the release', async options => {
    await against(options, async () => {
      const name = path.join('/dev/shm', `membroker-attack-${process.pid}`)
      names = [name]
      const mine = await client()
      const { fd } = await memoryOf(mine, 'linked', MiB)
      const spare = await mine.run(({ native }, fd) => native.dupFd(fd), fd)
      const written = await Attacker.start(mine, ['hold'], [spare])
      expect(await written.again()).toBe('done')
      await written.end()
      const attacker = await Attacker.start(mine, ['link', name], [fd])
      await attacker.end()
      const { outcome } = await mine.run(({ client }) =>
        client.call('Release', { name: 'linked', graceMs: 0 }),
      )
      expect(outcome).toBe('released')
      if (!existsSync(name)) return
      expect(statSync(name).blocks).toBe(0)
      expect(readFileSync(name).some(byte => byte !== 0)).toBe(false)
      const again = await mine.run(({ fs }, name) => {
        try {
          fs.writeFileSync(name, 'more')
          return 'done'
        } catch (error) {
          return (error as NodeJS.ErrnoException).code
        }
      }, name)
      expect(again).toBe('EACCES')
    })()
  })
})

suite('names and attributes that an owner who may open by path has given its file', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync('/dev/shm/membroker-names-')
    chmodSync(folder, 0o777)
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  test(
    "lead to an empty file of the broker's, without attributes, and are told of",
    against(openByPath, async () => {
      const names = ['one', 'two', 'three'].map(name => path.join(folder, name))
      const mine = await client()
      const { fd } = await memoryOf(mine, 'named', MiB)
      const root = await OtherProcess.start(broker.socket)
      const attributes = async () => {
        const fd = await root.run(({ fs }, name) => fs.openSync(name, 'r'), names[0]!)
        return (await Attacker.start(root, ['attributes'], [fd])).answer
      }
      const free = await broker.freeBytes()
      const copy = () => mine.run(({ native }, fd) => native.dupFd(fd), fd)
      for (const name of names) {
        const attacker = await Attacker.start(mine, ['link', name], [await copy()])
        expect(attacker.answer).toBe('ready')
        await attacker.end()
      }
      const marking = await Attacker.start(mine, ['mark'], [await copy()])
      expect(marking.answer).toBe('ready')
      await marking.end()
      await mine.run(({ fs }, fd) => {
        fs.writeSync(fd, Buffer.alloc(1 << 20, 1), 0)
        fs.closeSync(fd)
      }, fd)
      expect(await attributes()).toContain('system.posix_acl_access')
      const { outcome } = await mine.run(({ client }) =>
        client.call('Release', { name: 'named', graceMs: 0 }),
      )
      expect(outcome).toBe('released')
      expect(await broker.freeBytes()).toBe(free + MiB)
      for (const name of names)
        expect(statSync(name)).toMatchObject({
          uid: process.getuid!(),
          size: 0,
          blocks: 0,
          nlink: names.length,
          mode: 0o100600,
        })
      expect(await attributes()).toBe('has')
      for (const uid of [tenant, neighbour]) {
        const one = await OtherProcess.start(broker.socket, { uid })
        const opened = one.run(({ fs }, name) => fs.closeSync(fs.openSync(name, 'r')), names[0]!)
        await expect(opened).rejects.toMatchObject({ error: 'EACCES' })
      }
      const told = broker.log.split('\n').filter(line => line.includes('further names'))
      expect(told.map(line => JSON.parse(line))).toMatchObject([{ uid: tenant, names: names.length }])
    }),
  )
})

suite('memory beyond the end of a file', () => {
  test(
    'is taken back, and the one who took it is told of',
    against({}, async () => {
      const mine = await client()
      const { fd } = await memoryOf(mine, 'hoard', page)
      const attacker = await Attacker.start(mine, ['hoard', String(64 * MiB)], [fd])
      expect(attacker.answer).toBe('ready')
      const [file] = memoryFiles()
      await until(() => statSync(file!).blocks * 512 <= page, 'what it holds is what it has')
      expect(statSync(file!).size).toBe(page)
      await until(() => broker.log.includes('tampered'), 'the log says so')
      // The allocation is none the worse.
      expect(await attacker.again()).toBe('done')
      expect(await mine.refusal('CreateMapping', { name: 'hoard' })).toBeUndefined()
    }),
  )
})

suite('memory that comes in huge pages', () => {
  let mount: string

  beforeEach(() => {
    mount = mkdtempSync(path.join(tmpdir(), 'membroker-attack-'))
    runNow('mount', ['-t', 'tmpfs', '-o', 'huge=always,size=64m', 'none', mount])
  })
  afterEach(() => {
    runNow('umount', [mount])
    rmSync(mount, { recursive: true })
  })

  test('is not called hoarded when there is more of it than was asked for', async () => {
    const small = path.join(mount, 'range')
    mkdirSync(small, { mode: 0o700 })
    broker = await TestBroker.start({ directory: small, bytes: 32 * MiB, logLevel: 'info' })
    try {
      const client = broker.client()
      await client.call('Allocate', { name: 'honest', bytes: 3 * MiB })
      const { fds } = await client.call('CreateMapping', { name: 'honest' })
      writeSync(fds[0]!, Buffer.alloc(3 * MiB, 'x'))
      // Opening looks at the file as a change of it does.
      for (let round = 0; round < 3; round++) await client.call('CreateMapping', { name: 'honest' })
      // Nothing is said at once: who holds it is looked up first.
      await new Promise(resolve => setTimeout(resolve, 500))
      const { allocation } = await client.call('GetAllocation', { name: 'honest' })
      expect(allocation.verdict).toBe('unverified')
      expect(broker.log).not.toContain('tampered')
    } finally {
      await broker.dispose()
    }
  })
})

suite('files that are written over and over', () => {
  const brokerMs = 300

  test(
    'leave the broker time for others',
    against({}, async () => {
      const mine = await client()
      const first = await memoryOf(mine, 'first', page)
      const second = await memoryOf(mine, 'second', page)
      const other = broker.client()
      // By the broker's own time: how much of the machine is left for it, and for this process, is not its to choose.
      const spentMs = async () => (await other.call('GetStatistics', {})).cpuMicroseconds / 1000
      const answersIn = async (ms: number) => {
        let count = 0
        for (const end = (await spentMs()) + ms; (await spentMs()) < end; )
          for (let call = 0; call < 100; call++, count++) await other.call('GetStatus', {})
        return count
      }
      const usual = await answersIn(brokerMs)
      const attackers: Attacker[] = []
      for (let writer = 0; writer < 4; writer++) {
        const fds = await mine.run(
          ({ native }, fds) => fds.map(fd => native.dupFd(fd)),
          [first.fd, second.fd],
        )
        attackers.push(await Attacker.start(mine, ['scribble', '2'], fds))
      }
      const attacked = await answersIn(brokerMs)
      for (const attacker of attackers) {
        expect(await attacker.exited()).toBe(false)
        await attacker.end()
      }
      // The writers may take their share of the broker's time. Were every notice listened to, they would take nearly all.
      expect(attacked).toBeGreaterThan(usual / 2)
    }),
  )
})

const memoryFiles = () =>
  [1, 2, 3].map(id => path.join(directory, `alloc-${id}`)).filter(file => existsSync(file))

suite('memory that runs as a program', () => {
  const running = async () => {
    const mine = await client()
    const program = readFileSync(attackerProgram)
    const bytes = Math.ceil(program.length / page) * page
    const { fd } = await memoryOf(mine, 'program', bytes)
    const readable = await mine.run(
      ({ fs }, { fd, text }) => {
        fs.writeSync(fd, Buffer.from(text, 'base64'))
        fs.fchmodSync(fd, 0o700)
        const readable = fs.openSync(`/proc/self/fd/${fd}`, 'r')
        fs.closeSync(fd)
        return readable
      },
      { fd, text: program.toString('base64') },
    )
    // The kernel runs no file that somebody has open for writing, as the broker does when it looks at what has changed.
    const start = () =>
      Attacker.start(mine, ['hold'], [readable], '/proc/self/fd/3').catch((error: Error) => {
        if (!error.message.includes('ETXTBSY')) throw error
      })
    let attacker = await start()
    await until(async () => {
      attacker ??= await start()
      return attacker !== undefined
    }, 'the program to run')
    expect(attacker!.answer).toBe('ready')
    return { mine, attacker: attacker!, bytes }
  }

  test(
    'is held, as any other, and every call about it has an answer',
    against(openByPath, async () => {
      const { mine, attacker, bytes } = await running()
      for (const [method, parameters] of [
        ['CreateMapping', { name: 'program', access: 'read' }],
        ['CreateMapping', { name: 'program' }],
        ['Grow', { name: 'program', bytes: bytes + page }],
      ] as const)
        expect([undefined, 'SourceFailed']).toContain(await mine.refusal(method, parameters))
      await expect(broker.client().call('Release', { name: 'program', graceMs: 0 })).resolves.toMatchObject({
        outcome: 'quarantined',
        step: expect.stringContaining(String(attacker.pid)),
      })
      await attacker.end()
      await mine.kill()
      await released()
    }),
  )

  test(
    'is ended where the policy is to kill',
    against({ ...openByPath, rest: kill }, async () => {
      const { attacker } = await running()
      await expect(broker.client().call('Release', { name: 'program', graceMs: 100 })).resolves.toMatchObject(
        {
          outcome: 'released',
        },
      )
      expect(await attacker.exited()).toBe(true)
    }),
  )
})
