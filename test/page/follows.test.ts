/**
 * Proves that whatever processes do to their memory, in whatever order, and die, and however often the page loses its
 * connections, the page in the end shows what the broker says: its own code follows a real broker's events.
 */
import { closeSync, existsSync, openSync } from 'node:fs'
import type { Allocation, Mapping } from '../../protocol/generated/broker'
import { Inventory } from '../../src/page/state/inventory'
import { Model } from '../../src/page/state/model'
import { OtherProcess } from '../support/other-process'
import { Seeded } from '../support/seeded'
import { type TestBroker, type TestClient, until } from '../support/test-broker'
import { startWithConsole } from './broker'
import { givePageGlobals } from './globals'

const unit = 4096
const names = ['a', 'b', 'c', 'd', 'e', 'f'].map(letter => `vm/${letter}`)

let broker: TestBroker
let admin: TestClient
let model: Model
/** Of machines, kept open by this process. */
const lent: number[] = []
let browser: ReturnType<typeof givePageGlobals>

beforeAll(async () => {
  const started = await startWithConsole()
  broker = started.broker
  admin = broker.client()
  browser = givePageGlobals(started.origin)
  model = new Model(new URL(started.url).hash.replace('#token=', ''))
  model.link.start()
})
afterAll(async () => {
  browser.close()
  await OtherProcess.killAll()
  await broker.dispose()
})

/** Most of what is tried at random is impossible at that moment, or the process is gone. */
async function attempt(work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (thrown) {
    const { error = '', message } = thrown as { error?: string; message?: string }
    const isRefused = error.startsWith('io.membroker.Broker.') || error === 'ProcessExited'
    if (!isRefused && message !== 'connection closed') throw thrown
  }
}

/** A VMM: a process that calls what it is told, and keeps the descriptors that it is given by mapping. */
class Machine {
  private constructor(readonly process: OtherProcess) {}

  static async start(): Promise<Machine> {
    return new Machine(await OtherProcess.start(broker.socket))
  }

  call(method: string, parameters: object): Promise<void> {
    return attempt(
      this.process.run(
        async ({ client, state }, [method, parameters]) => {
          const reply = (await client.call(method as never, parameters as never)) as never as {
            grant?: { mapping: Mapping }
            grants?: { mapping: Mapping; fileDescriptor: number }[]
            fds: number[]
          }
          state.fds ??= []
          for (const grant of reply.grants ?? [])
            state.fds.push([grant.mapping.id, reply.fds[grant.fileDescriptor]])
          if (reply.grant) state.fds.push([reply.grant.mapping.id, reply.fds[0]])
        },
        [method, parameters] as const,
      ),
    )
  }

  /** As a process does that is done with some of its memory. */
  giveBack(which: number): Promise<void> {
    return attempt(
      this.process.run(async ({ client, state }, which) => {
        const fds: [number, number][] = state.fds ?? []
        const [given] = fds.splice(which % (fds.length || 1), 1)
        if (!given) return
        const [mapping, fd] = given
        client.closeFd(fd)
        await client.call('RevokeMapping', { mapping })
      }, which),
    )
  }

  /** Another process gets one of its descriptors, as by SCM_RIGHTS: this one. */
  lend(lent: number[]): Promise<void> {
    return attempt(
      this.process
        .run(({ state }) => (state.fds ?? []).at(-1)?.[1] as number | undefined)
        .then(fd => {
          const file = `/proc/${this.process.pid}/fd/${fd}`
          if (fd !== undefined && existsSync(file)) lent.push(openSync(file, 'r'))
        }),
    )
  }

  /** The process goes on, and holds what it holds. */
  hangUp(): Promise<void> {
    return attempt(
      this.process.run(({ client }) => {
        client.caller.close()
      }),
    )
  }
}

/** Something at random, of which much is done at once; as often as its number of cases says. */
async function operate(random: Seeded, machines: Machine[]): Promise<void> {
  const at = random.below(machines.length)
  const machine = machines[at]!
  const name = random.pick(names)
  const graceMs = random.pick([0, 0, 30])
  const mapping = random.pick([0, ...model.inventory.mappings.keys()])
  switch (random.below(22)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return machine.call('Allocate', { name, bytes: unit * (1 + random.below(8)) })
    case 4:
    case 5:
    case 6:
    case 7: {
      const part = { length: unit, access: 'read', guestAddress: unit * random.below(9) }
      const offset = unit * random.below(3)
      return machine.call('CreateMapping', { name, offset, ...(random.below(2) === 0 && part) })
    }
    case 8:
      return machine.giveBack(random.below(100))
    case 9:
    case 10:
      return attempt(admin.call('RevokeMapping', { mapping, graceMs }))
    case 11:
      return machine.call('Grow', { name, bytes: unit * (1 + random.below(16)) })
    case 12:
    case 13:
      return machine.call('Release', { name, graceMs })
    case 14:
      return machine.call('SetMetadata', { name, metadata: { note: random.below(1000) } })
    case 15:
    case 16:
    case 17:
      return machine.call('Claim', { name })
    case 18:
      return attempt(inspected(random.below(2) === 0))
    case 19:
      return model.refresh(name)
    case 20:
      return random.below(2) === 0 ? machine.hangUp() : machine.lend(lent)
    case 21:
      await machine.process.kill()
      machines[at] = await Machine.start()
  }
}

/** As before a kexec, and perhaps after it. */
async function inspected(verified: boolean): Promise<void> {
  for await (const _ of admin.stream('Freeze', { digests: true }));
  try {
    if (verified) for await (const _ of admin.stream('Verify', {}));
  } finally {
    await admin.call('Thaw', {})
  }
}

interface Picture {
  allocations: Allocation[]
  mappings: Mapping[]
  map: object[]
  retired: object[]
}

/** What the page shows of it; what it does not is left out, and so is what it knows to be old. */
function pictureOf(inventory: Inventory, outdated: ReadonlySet<string>): Picture {
  const shown = ({ metadata, shares, ...rest }: Allocation) =>
    outdated.has(rest.name) ? rest : { ...rest, metadata, shares }
  const byId = <Item extends { id: number }>(items: Iterable<Item>) => [...items].sort((a, b) => a.id - b.id)
  return {
    allocations: byId(inventory.allocations.values()).map(shown) as Allocation[],
    mappings: byId(inventory.mappings.values()).map(({ metadata, guestAddress, pid, ...rest }) => ({
      ...rest,
      guestAddress: guestAddress ?? null,
      pid: pid ?? null,
    })) as Mapping[],
    map: [...inventory.ranges.values()].flatMap(({ range, extents }) =>
      extents
        .between(0, range.bytes, Number.POSITIVE_INFINITY)!
        .map(({ ref, ...piece }) => ({ ...piece, range: range.name, owner: Math.max(0, ref) })),
    ),
    retired: [...inventory.retired.values()]
      .map(({ ref, ...piece }) => piece)
      .sort((a, b) => a.extents[0]!.offset - b.extents[0]!.offset),
  }
}

/** The same of what the broker says when it is asked for everything. */
async function truth(outdated: ReadonlySet<string>): Promise<Picture> {
  const inventory = new Inventory({ allocation: () => {}, mapping: () => {} }, 'state')
  inventory.setRanges((await admin.call('ListRanges', {})).ranges)
  for (const { name } of (await admin.call('ListAllocations', {})).allocations) {
    const { allocation, mappings } = await admin.call('GetAllocation', { name })
    inventory.put(allocation, mappings)
  }
  inventory.setRetired((await admin.call('GetStatus', {})).retired)
  return pictureOf(inventory, outdated)
}

/** Waits until the page has caught up, or shows by how much it has not. */
async function expectTruth(boundMs = 60_000): Promise<void> {
  const deadline = Date.now() + boundMs
  for (;;) {
    await until(() => model.link.state.kind === 'live' && !model.loading, 'the page follows')
    const outdated = new Set(model.inventory.outdated)
    const [said, shown] = [await truth(outdated), pictureOf(model.inventory, outdated)]
    if (JSON.stringify(said) !== JSON.stringify(shown) && Date.now() < deadline)
      await new Promise(resolve => setTimeout(resolve, 50))
    else return expect(shown).toEqual(said)
  }
}

test('each change alone is what the page shows: nothing that follows repairs it', async () => {
  const [owner, heir] = [await Machine.start(), await Machine.start()]
  const name = 'alone'
  const killed = async ({ process }: Machine) => {
    await process.kill()
    const holder = () => admin.call('GetAllocation', { name }).then(({ allocation }) => allocation.holderPid)
    await until(async () => (await holder()) === null, 'the broker knows')
    await expectTruth()
  }
  const idOf = () => admin.call('GetAllocation', { name }).then(({ mappings }) => mappings[0]!.id)
  await owner.call('Allocate', { name, bytes: 4 * unit })
  await expectTruth()
  await owner.call('CreateMapping', { name, offset: unit, length: unit, access: 'read', guestAddress: unit })
  await expectTruth()

  // Asked for by a release that is then refused, it stays.
  const released = attempt(broker.client().call('Release', { name, graceMs: 1000 }))
  await until(() => model.log.events.some(({ kind }) => kind === 'revokeRequested'), 'it is asked for')
  await admin.call('Freeze', {})
  await released
  await admin.call('Thaw', {})
  expect(await idOf()).toBeGreaterThan(0)
  await expectTruth()

  await killed(owner)
  await heir.call('Claim', { name })
  await expectTruth()
  await heir.lend(lent)
  await admin.call('RevokeMapping', { mapping: await idOf(), graceMs: 0 })
  await expectTruth()
  // Its process is gone, and yet somebody has it open.
  await killed(heir)
  expect(model.inventory.mappings.get(await idOf())!.state).toBe('revoking')
  for (const fd of lent.splice(0)) closeSync(fd)
  await until(() => model.inventory.mappings.size === 0, 'it is taken back')
  await expectTruth()

  // Heard of no more, and later gone, with nothing mapped.
  const silent = await Machine.start()
  await silent.call('Claim', { name })
  await silent.hangUp()
  await until(
    () => model.log.events.some(({ kind, pid }) => kind === 'disconnected' && pid === silent.process.pid),
    'it',
  )
  await expectTruth()
  await killed(silent)
  expect(model.inventory.allocations.get(name)!.holderPid).toBeNull()
  await admin.call('Release', { name, graceMs: 0 })
  await expectTruth()
})

test.each([1, 2, 3])('what many do at once is what the page shows in the end, seed %d', async seed => {
  const random = new Seeded(seed)
  const machines = await Promise.all([Machine.start(), Machine.start(), Machine.start()])
  for (let round = 0; round < 10; round++) {
    const loss = round % 4 === 0 ? random.below(8) : -1
    for (let step = 0; step < 12; step++) {
      if (step === loss) for (const socket of browser.sockets.splice(random.below(2))) socket.terminate()
      await Promise.all(Array.from({ length: 1 + random.below(4) }, () => operate(random, machines)))
    }
    await expectTruth()
    for (const fd of lent.splice(0)) closeSync(fd)
  }
  await Promise.all(machines.map(({ process }) => process.kill()))
  await expectTruth()
})
