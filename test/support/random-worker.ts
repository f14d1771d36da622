import { OtherProcess, type RemoteError } from './other-process'
import type { Seeded } from './seeded'

const page = 4096
const allocationsMax = 8

type Operation =
  | { kind: 'allocate' | 'grow' | 'shrink'; name: string; bytes: number }
  | { kind: 'discard'; name: string; bytes: number }
  | { kind: 'map'; name: string; bytes: number; value: number }
  | { kind: 'unmap' | 'release'; name: string }
  | { kind: 'describe'; name: string; turn: number }

/** What was acknowledged of an allocation. The first filledBytes hold value, the others are zero. */
export interface Known {
  bytes: number
  filledBytes: number
  value: number
  turn: number | undefined
  /** Given out and not given back. */
  mapping: number | undefined
  /** Unanswered: done or not. */
  attempt: Operation | undefined
}

/**
 * A client process that does what it likes with allocations of its own, one operation after the other, and the account
 * of what the broker has answered it.
 */
export class RandomWorker {
  readonly known = new Map<string, Known>()
  operations = 0
  private process: OtherProcess | undefined
  private turns = 0

  constructor(
    readonly prefix: string,
    private readonly socket: string,
    private readonly random: Seeded,
  ) {}

  get alive(): boolean {
    return this.process !== undefined && !this.process.exited
  }

  async start(): Promise<void> {
    this.process = await OtherProcess.start(this.socket)
    await this.process.run(({ state, client, connect }) => {
      state.held = {}
      state.use = (used: typeof client) => {
        state.live = used
        void used.closed.then(() => {
          if (state.live === used) state.live = undefined
          used.close()
        })
      }
      state.use(client)
      state.broker = () => {
        if (!state.live) state.use(connect())
        return state.live
      }
    })
  }

  async kill(): Promise<void> {
    await this.process?.kill()
    for (const item of this.known.values()) item.mapping = undefined
  }

  /** Takes up what the process before it left: the names that were claimed, with the mappings that came back. */
  async claim(): Promise<Map<string, number[]>> {
    const claimed = await this.process!.run(async ({ state, native }, prefix) => {
      const seen: [string, number[]][] = []
      const replies = state.broker().stream('Claim', { prefix })
      for await (const { outcome, allocation, grants, fds } of replies) {
        if (outcome !== 'claimed') continue
        seen.push([allocation.name, grants.map((grant: { mapping: { id: number } }) => grant.mapping.id)])
        for (const { mapping, fileDescriptor } of grants) {
          const window = new native.Window(fds[fileDescriptor]!, 0, mapping.length, true)
          state.held[mapping.id] = { window, fd: fds[fileDescriptor], client: state.live }
        }
      }
      return seen
    }, this.prefix)
    return new Map(claimed)
  }

  /** Until the connection or the process is lost. Throws what the broker should not have answered. */
  async work(): Promise<void> {
    for (;;) {
      const operation = this.choose()
      try {
        await this.perform(operation)
        this.operations++
      } catch (thrown) {
        const { error } = thrown as RemoteError
        const lost = error === 'ProcessExited' || error?.startsWith('ConnectionLost')
        if (lost) return this.lost(operation, error === 'ProcessExited')
        if (error === 'ECONNREFUSED' || error === 'ENOENT' || error === 'ECONNRESET') return
        throw new Error(`${JSON.stringify(operation)}: ${JSON.stringify(thrown)}`)
      }
    }
  }

  private choose(): Operation {
    const { random, known } = this
    const names = [...known.keys()]
    const turn = ++this.turns
    if (names.length === 0 || (names.length < allocationsMax && random.below(4) === 0))
      return { kind: 'allocate', name: `${this.prefix}${turn}`, bytes: page * (1 + random.below(16)) }
    const name = random.pick(names)
    const item = known.get(name)!
    if (item.mapping !== undefined && random.below(3) > 0) return { kind: 'unmap', name }
    switch (random.below(6)) {
      case 4:
        return { kind: 'shrink', name, bytes: page * (1 + random.below(item.bytes / page)) }
      case 5:
        return { kind: 'discard', name, bytes: item.bytes }
      case 0:
        return { kind: 'grow', name, bytes: item.bytes + page * (1 + random.below(4)) }
      case 1:
        return { kind: 'describe', name, turn }
      case 2:
        return names.length > 2 ? { kind: 'release', name } : { kind: 'describe', name, turn }
      default:
        return { kind: 'map', name, bytes: item.bytes, value: 1 + random.below(255) }
    }
  }

  private async perform(operation: Operation): Promise<void> {
    const { known } = this
    const { name } = operation
    const mapping = known.get(name)?.mapping
    const answer = await this.process!.run(perform, { operation, mapping })
    const item = known.get(name)
    switch (operation.kind) {
      case 'allocate':
        known.set(name, {
          bytes: operation.bytes,
          filledBytes: 0,
          value: 0,
          turn: undefined,
          mapping: undefined,
          attempt: undefined,
        })
        return
      case 'grow':
        item!.bytes = operation.bytes
        return
      case 'shrink':
        Object.assign(item!, { bytes: operation.bytes, mapping: undefined })
        item!.filledBytes = Math.min(item!.filledBytes, operation.bytes)
        return
      case 'discard':
        item!.filledBytes = 0
        return
      case 'describe':
        item!.turn = operation.turn
        return
      case 'map':
        Object.assign(item!, { mapping: answer, filledBytes: operation.bytes, value: operation.value })
        return
      case 'unmap':
        item!.mapping = undefined
        return
      case 'release':
        known.delete(name)
    }
  }

  private lost(operation: Operation, withProcess: boolean): void {
    const item = this.known.get(operation.name)
    if (item) {
      item.attempt = operation
      // What it was writing when it was killed is anything.
      if ((operation.kind === 'map' && withProcess) || operation.kind === 'discard') item.filledBytes = -1
      // All of these begin by letting go of what is mapped.
      if (['map', 'unmap', 'release', 'shrink'].includes(operation.kind)) item.mapping = undefined
    } else if (operation.kind === 'allocate')
      this.known.set(operation.name, {
        bytes: operation.bytes,
        filledBytes: 0,
        value: 0,
        turn: undefined,
        mapping: undefined,
        attempt: operation,
      })
  }
}

/** Runs in the other process: sent as text. One mapping of an allocation at a time. */
const perform: Parameters<
  typeof OtherProcess.prototype.run<number | undefined, { operation: Operation; mapping: number | undefined }>
>[0] = async ({ state, native }, { operation, mapping }) => {
  const { kind, name } = operation
  const broker = state.broker()
  const letGo = () => {
    const held = mapping === undefined ? undefined : state.held[mapping]
    if (!held) return
    held.window.revoke()
    held.client.closeFd(held.fd)
    delete state.held[mapping!]
  }
  /** Also those whose making or end was not answered. */
  const revokeAllBut = async (kept: number | undefined) => {
    const { mappings } = await broker.call('GetAllocation', { name })
    for (const { id } of mappings)
      if (id !== kept) await broker.call('RevokeMapping', { mapping: id, graceMs: 1000 })
  }
  switch (kind) {
    case 'allocate':
      await broker.call('Allocate', { name, bytes: operation.bytes })
      return undefined
    case 'grow':
      await broker.call('Grow', { name, bytes: operation.bytes })
      return undefined
    case 'shrink':
      letGo()
      await revokeAllBut(undefined)
      await broker.call('Shrink', { name, bytes: operation.bytes })
      return undefined
    case 'discard':
      // While the broker takes a mapping back, it answers Busy.
      await revokeAllBut(mapping)
      await broker.call('Discard', { name, pieces: [{ offset: 0, length: operation.bytes }] })
      return undefined
    case 'describe':
      await broker.call('SetMetadata', { name, metadata: { turn: operation.turn } })
      return undefined
    case 'map': {
      letGo()
      if (mapping !== undefined) await broker.call('RevokeMapping', { mapping, graceMs: 1000 })
      const { grant, fds } = await broker.call('CreateMapping', { name })
      const window = new native.Window(fds[0], 0, operation.bytes, true)
      Buffer.from(window.buffer).fill(operation.value)
      state.held[grant.mapping.id] = { window, fd: fds[0], client: broker }
      return grant.mapping.id
    }
    case 'unmap':
      letGo()
      await broker.call('RevokeMapping', { mapping, graceMs: 1000 })
      return undefined
    case 'release':
      letGo()
      await broker.call('Release', { name, graceMs: 1000 })
      return undefined
  }
}
