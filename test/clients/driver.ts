/**
 * Does with the TypeScript library what the lines on its standard input say, and answers each with a line: {"result": ...} or
 * {"error": {"code", "parameters"}}. driver.c and driver.py do the same with the other libraries; cases.ts has the operations.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  type Allocation,
  type Broker,
  BrokerError,
  connect,
  type Mapping,
  type MappingInfo,
  type Participation,
} from '../../src/client'
import type { Arguments, Operation } from './cases'

let broker: Broker
let watching = new AbortController()
let participating = new AbortController()
let participation: Participation | undefined
const mappings = new Map<string, Mapping>()
const events: Array<{ kind: string; details: unknown }> = []
let onEvent = () => {}

function happened(kind: string, details: unknown = {}) {
  events.push({ kind, details })
  onEvent()
}

const nameOf = (id: number) => [...mappings].find(([, mapping]) => mapping.id === id)?.[0] ?? ''
const named = (name: unknown) => mappings.get(name as string)!
const outcomes: Record<string, string> = { revoked: 'ended', released: 'ended', quarantined: 'quarantined' }

function take(name: string, mapping: Mapping, later = false): MappingInfo {
  mappings.set(name, mapping)
  mapping.onRevoke(() => {
    happened('revoke', { mapping: name })
    return later ? new Promise(() => {}) : undefined
  })
  return mapping.info
}

/** The handle by which the library takes a secret. */
async function handle({ name, secret }: Arguments): Promise<Allocation> {
  return broker.allocation(name as string, { secret: secret as string | undefined })
}

function claimed(as: string) {
  let number = 0
  return ({
    allocation,
    joined,
    mappings,
  }: {
    allocation: Allocation
    joined: boolean
    mappings: Mapping[]
  }) => ({
    allocation: allocation.info,
    joined,
    mappings: mappings.map(mapping => take(`${as}${number++}`, mapping)),
  })
}

async function follow(mine: boolean, signal: AbortSignal) {
  for await (const item of broker.watch({ mine, signal })) {
    const { type, ...details } = item
    if (item.type === 'event') {
      const { kind, allocation, bytes } = item.event
      happened(kind, { kind, ...(allocation && { allocation }), ...(typeof bytes === 'number' && { bytes }) })
    } else happened(type, details)
  }
}

// biome-ignore lint/suspicious/noExplicitAny: they are what a line of JSON says
type Any = any

const operations: Record<Operation, (args: Any) => Promise<unknown>> = {
  async connect({ socket, reconnectMs }) {
    broker = await connect({ socket, reconnect: { timeoutMs: reconnectMs } })
    broker.on('disconnected', () => happened('disconnected'))
    broker.on('reconnected', () => happened('reconnected'))
    broker.on('mappingLost', ({ id }) => happened('lost', { mapping: nameOf(id) }))
    return 'connected'
  },
  async close() {
    await broker.close()
    mappings.clear()
    events.length = 0
    return 'closed'
  },
  async status() {
    const { frozen, ranges, version } = await broker.status()
    return { frozen, ranges, version }
  },
  allocate: async args => (await broker.allocate(args)).info,
  async get({ name }) {
    const { allocation, mappings } = await broker.get(name)
    return { allocations: [allocation], mappings }
  },
  async list({ prefix }) {
    const allocations: unknown[] = []
    for await (const one of broker.list({ prefix })) allocations.push(one)
    return { allocations, mappings: [] }
  },
  async grow(args) {
    const allocation = await handle(args)
    await allocation.grow(args.size)
    return allocation.info
  },
  async shrink(args) {
    const allocation = await handle(args)
    await allocation.shrink(args.size)
    return allocation.info
  },
  discard: async args => (await handle(args)).discard(args.pieces),
  async setMetadata(args) {
    const allocation = await handle(args)
    await allocation.setMetadata(args.metadata)
    return allocation.info
  },
  async share(args) {
    const allocation = await handle(args)
    await (args.access ? allocation.share(args.uid, args.access) : allocation.unshare(args.uid))
    return allocation.info
  },
  async give(args) {
    const allocation = await handle(args)
    await allocation.give(args.uid)
    return allocation.info
  },
  async path({ name }) {
    const { path } = await broker.get(name)
    return path === undefined ? 'nowhere' : statSync(path).size
  },
  async map(args) {
    const { as, later, name: _, secret: __, ...options } = args
    const allocation = await handle(args)
    return take(as, await allocation.map(options), later)
  },
  async write({ mapping, offset = 0, text }) {
    named(mapping).window().write(text, offset)
    return 'written'
  },
  read: async ({ mapping, offset = 0, length }) =>
    named(mapping)
      .window()
      .toString('utf8', offset, offset + length)
      .replace(/\0.*/s, ''),
  /** JavaScript has no layout of a guest: each mapping by itself. */
  async guest({ mappings: names }) {
    for (const [index, name] of names.entries()) named(name).window().write(`guest ${index}`)
    return Object.fromEntries(names.map((name: string, index: number) => [name, `guest ${index}`]))
  },
  async descriptor({ mapping }) {
    const flags = Number.parseInt(
      /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${named(mapping).fd}`, 'utf8'))![1]!,
      8,
    )
    return { open: true, closeOnExec: (flags & 0o2000000) !== 0 }
  },
  async closeMapping({ mapping }) {
    const outcome = await named(mapping).close()
    mappings.delete(mapping)
    return outcome === undefined ? 'gone' : outcomes[outcome]
  },
  state: async ({ mapping }) => named(mapping).state,
  release: async args => outcomes[await (await handle(args)).release(args)],
  revoke: async ({ id, ...options }) => outcomes[await broker.revoke(id, options)],
  async claim({ name, as, prefix, ...options }) {
    const take = claimed(as)
    if (name !== undefined) {
      const one = await (options.takeOver ? broker.takeOver(name, options) : broker.claim(name, options))
      return { claimed: [take(one)], notClaimed: [] }
    }
    const all = await broker.rebuild({ prefix, ...options })
    return {
      claimed: all.claimed.map(take),
      notClaimed: all.notClaimed.map(({ name, outcome }) => ({ name, outcome })),
    }
  },
  async completeHandOver({ name }) {
    await broker.completeHandOver(name)
    return 'completed'
  },
  async await({ event }) {
    for (;;) {
      const at = events.findIndex(({ kind }) => kind === event)
      if (at >= 0) return events.splice(at, 1)[0]!.details
      await new Promise<void>(resolve => {
        onEvent = resolve
      })
    }
  },
  async watch({ mine = false }) {
    watching = new AbortController()
    follow(mine, watching.signal).catch(() => {})
    return 'watching'
  },
  async unwatch() {
    watching.abort()
    return 'unwatched'
  },
  async participate({ name, later, stuck }) {
    participating = new AbortController()
    participation = broker.participate({
      name,
      signal: participating.signal,
      prepare({ reason, deadlineMs }) {
        happened('prepare', { reason, hasTime: deadlineMs > 0 })
        if (stuck) throw Object.assign(new Error('it is stuck'), { staysPaused: true })
        return later ? new Promise(() => {}) : undefined
      },
      cancelled: ({ reason }) => happened('cancelled', { reason }),
    })
    participation.done.catch(() => {})
    await participation.joined
    return 'joined'
  },
  async fail({ reason }) {
    participation!.fail(reason)
    return 'failed'
  },
  async leave() {
    participating.abort()
    return 'left'
  },
  /** JavaScript's library has a method for each; the driver needs these. */
  async call({ method, parameters = {} }) {
    if (method === 'Freeze') await broker.freeze(parameters.reason)
    else if (method === 'Thaw') await broker.thaw()
    else throw new Error(`the driver has no ${method}`)
    return 'called'
  },
  descriptors: async () => readdirSync('/proc/self/fd').length,
}

async function answer(line: string): Promise<unknown> {
  const { op, args = {} } = JSON.parse(line)
  try {
    return { result: (await operations[op as Operation](args)) ?? null }
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return { error: { code: error.code, parameters: error.parameters, message: error.message } }
  }
}

async function main() {
  for await (const line of createInterface({ input: process.stdin }))
    process.stdout.write(`${JSON.stringify(await answer(line))}\n`)
  await broker?.close()
  process.exit(0)
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
