/** Proves that the library reconnects: it repeats reads, reports changes as possibly done, and bounds every wait. */
import { openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Call } from '../../protocol/wire/responder'
import { type Broker, connect, type Mapping } from '../../src/client'
import { ownFds, sameFds, settledFds } from '../support/leaks-nothing'
import { until } from '../support/test-broker'
import { allocation, mapping, range } from './support/records'
import { ScriptedBroker, status } from './support/scripted-broker'

let scripted: ScriptedBroker
let broker: Broker | undefined

beforeEach(() => {
  scripted = new ScriptedBroker()
})

afterEach(async () => {
  await broker?.close()
  broker = undefined
  scripted.dispose()
})

const quick = { minDelayMs: 1, maxDelayMs: 5 }
/** For what is to come to this limit: nothing else does, on a busy machine either. */
const bounded = { ...quick, timeoutMs: 2000 }

async function connected(reconnect: typeof quick & { timeoutMs?: number } = quick): Promise<Broker> {
  broker = await connect({ socket: scripted.socket, reconnect })
  return broker
}

/** A script that lets the first call die with its connection. */
function dieOnce(answer: (call: Call) => void) {
  let died = false
  return (call: Call) => {
    if (died) return answer(call)
    died = true
    scripted.hangUp()
  }
}

test('a read whose connection breaks is repeated; a change is reported as possibly done', async () => {
  // Proves that nothing is done twice, and nothing that could be asked again fails.
  const client = await connected()
  scripted.script.set(
    'ListRanges',
    dieOnce(call => call.reply({ ranges: [] })),
  )
  await expect(client.ranges()).resolves.toEqual([])
  expect(scripted.calls.filter(method => method === 'ListRanges')).toHaveLength(2)

  scripted.script.set(
    'Freeze',
    dieOnce(call => call.reply({ outcome: 'frozen', digestedBytes: 0, totalBytes: 0 })),
  )
  await expect(client.freeze()).rejects.toMatchObject({
    code: 'ConnectionLost',
    parameters: { method: 'Freeze' },
  })
  expect(scripted.calls.filter(method => method === 'Freeze')).toHaveLength(1)
})

test('calls made while the broker is away wait for it', async () => {
  // Proves that a restart shows as a delay, with the events that tell of it.
  const client = await connected()
  const events: string[] = []
  client
    .on('disconnected', () => events.push('disconnected'))
    .on('reconnected', () => events.push('reconnected'))
  scripted.script.set('Thaw', call => call.reply({}))
  scripted.vanish()
  await until(() => events.length > 0, 'the client to notice')
  const calls = [client.thaw(), client.thaw()]
  await sleep(50)
  scripted.listen()
  await Promise.all(calls)
  expect(events).toEqual(['disconnected', 'reconnected'])
})

test('the wait is bounded by timeoutMs, by the signal, and by close()', async () => {
  // Proves that no call hangs for ever on a broker that does not come back.
  const client = await connected(bounded)
  let away = false
  client.on('disconnected', () => {
    away = true
  })
  scripted.vanish()
  await until(() => away, 'the client to notice')
  const abort = new AbortController()
  const bySignal = expect(client.status({ signal: abort.signal })).rejects.toMatchObject({ code: 'Aborted' })
  abort.abort()
  await bySignal
  await expect(client.thaw()).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    message: expect.stringContaining('nothing was sent'),
  })
  const byClose = expect(client.thaw()).rejects.toMatchObject({ code: 'Closed' })
  await client.close()
  await byClose
  await expect(client.status()).rejects.toMatchObject({ code: 'Closed' })
})

test('an aborted call leaves the others be; a mapping that arrives late is closed and given back', async () => {
  // Proves that an abort costs neither the connection nor a descriptor, nor quota at the broker.
  const client = await connected()
  let waiting: Call | undefined
  scripted.script.set(
    'Watch',
    call => void call.replyMore({ allocations: [], mappings: [], snapshotEnd: true }),
  )
  scripted.script.set('ListRanges', call => call.reply({ ranges: [range] }))
  scripted.script.set('GetAllocation', call => call.reply({ allocation, mappings: [] }))
  scripted.script.set('CreateMapping', call => {
    waiting = call
  })
  const revoked: unknown[] = []
  scripted.script.set('RevokeMapping', call => {
    revoked.push(call.parameters)
    call.reply({ outcome: 'revoked', step: '' })
  })
  const target = await client.allocation('x')
  const abort = new AbortController()
  const call = expect(target.map({ signal: abort.signal })).rejects.toMatchObject({ code: 'Aborted' })
  await until(() => waiting !== undefined, 'the call to arrive')
  const before = await settledFds()
  abort.abort()
  await call
  waiting!.reply({ grant: { mapping, fileDescriptor: 0, mmapOffset: 0 } }, [openSync('/dev/zero', 'r')])
  await expect(client.status()).resolves.toMatchObject({ version: '0' })
  await until(() => revoked.length > 0, 'the mapping to be given back')
  expect(revoked).toEqual([{ mapping: mapping.id }])
  await sameFds(before)
})

test('a mapping asked for while the broker restarts is one of the new broker', async () => {
  // Proves that what the library prepared with the old broker is prepared again.
  const client = await connected()
  scripted.script
    .set('Watch', call => void call.replyMore({ allocations: [], mappings: [], snapshotEnd: true }))
    .set('ListRanges', call => call.reply({ ranges: [range] }))
    .set('GetAllocation', call => call.reply({ allocation, mappings: [] }))
    .set('CreateMapping', call =>
      call.reply({ grant: { mapping, fileDescriptor: 0, mmapOffset: 0 } }, [openSync('/dev/zero', 'r')]),
    )
    .set('RevokeMapping', call => call.reply({ outcome: 'revoked', step: '' }))
    .set('Thaw', (_, responder) => responder.close())
  const target = await client.allocation('x')
  await (await target.map()).close()
  const asked = new Promise<Mapping>((resolve, reject) => {
    client.on('disconnected', () => void target.map().then(resolve, reject))
  })
  await expect(client.thaw()).rejects.toMatchObject({ code: 'ConnectionLost' })
  const made = await asked
  expect(made.window()).toHaveLength(mapping.length)
  await made.close()
})

test('give-backs in a row share a connection, and none waits for another', async () => {
  // Proves that a mapping given back costs no connection of its own, that one which the broker takes its time for does
  // not hold up the next, and that a broker which went away in between is not noticed.
  const client = await connected()
  scripted.script.set(
    'Watch',
    call => void call.replyMore({ allocations: [], mappings: [], snapshotEnd: true }),
  )
  scripted.script.set('ListRanges', call => call.reply({ ranges: [range] }))
  scripted.script.set('GetAllocation', call => call.reply({ allocation, mappings: [] }))
  let made = 0
  scripted.script.set('CreateMapping', call => {
    const grant = { mapping: { ...mapping, id: ++made }, fileDescriptor: 0, mmapOffset: 0 }
    call.reply({ grant }, [openSync('/dev/zero', 'r')])
  })
  const connections = new Map<unknown, number[]>()
  let slow: Call | undefined
  scripted.script.set('RevokeMapping', (call, connection) => {
    const { mapping: id } = call.parameters as { mapping: number }
    connections.set(connection, [...(connections.get(connection) ?? []), id])
    if (id === 3) slow = call
    else call.reply({ outcome: 'revoked', step: '' })
  })
  const given = () => [...connections.values()]
  const target = await client.allocation('x')
  const close = async () => (await target.map()).close()
  await close()
  await close()
  const third = close()
  await until(() => slow !== undefined, 'the third to arrive')
  await close()
  expect(given()).toEqual([[1, 2, 3], [4]])
  slow!.reply({ outcome: 'revoked', step: '' })
  await third

  const last = await target.map()
  scripted.hangUp()
  await expect(last.close()).resolves.toBe('revoked')
  expect(given()).toEqual([[1, 2, 3], [4], [5]])
})

test.each([
  ['a descriptor too many', { grant: () => ({ mapping, fileDescriptor: 0, mmapOffset: 0 }) }, 2],
  ['no descriptor', { grant: () => ({ mapping, fileDescriptor: 0, mmapOffset: 0 }) }, 0],
  ['an index out of bounds', { grant: () => ({ mapping, fileDescriptor: 1, mmapOffset: 0 }) }, 1],
  [
    'a reply of another shape',
    { grant: () => ({ mapping: { ...mapping, id: 'one' }, fileDescriptor: 0, mmapOffset: 0 }) },
    1,
  ],
])('%s is a protocol violation, and no descriptor stays', async (_title, { grant }, count) => {
  // Proves that what the broker sends is checked before anything relies on it.
  scripted.script.set(
    'Watch',
    call => void call.replyMore({ allocations: [], mappings: [], snapshotEnd: true }),
  )
  scripted.script.set('ListRanges', call => call.reply({ ranges: [range] }))
  scripted.script.set('GetAllocation', call => call.reply({ allocation, mappings: [] }))
  const client = await connected()
  const target = await client.allocation('x')
  let before: string[] = []
  scripted.script.set('CreateMapping', call => {
    before = ownFds()
    call.reply(
      { grant: grant() },
      Array.from({ length: count }, () => openSync('/dev/zero', 'r')),
    )
  })
  await expect(target.map()).rejects.toMatchObject({ code: 'ProtocolViolation' })
  await sameFds(before)
})

test('nobody at the socket, a stranger, and a silent one are told apart', async () => {
  // Proves that the first error of a new user says what to do.
  await expect(connect({ socket: '/nonexistent/broker.sock' })).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    parameters: { errno: 'ENOENT' },
    message: expect.stringContaining('MEMBROKER_SOCKET'),
  })
  scripted.script.set('GetStatus', () => scripted.hangUp())
  await expect(connected(bounded)).rejects.toMatchObject({ code: 'BrokerUnreachable' })
  scripted.script.set('GetStatus', () => {})
  await expect(connected({ ...quick, timeoutMs: 100 })).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    message: expect.stringContaining('did not answer'),
  })
  scripted.script.set('GetStatus', call => call.reply({ ...status, pid: 'one' }))
  await expect(connected()).rejects.toMatchObject({
    code: 'ProtocolViolation',
    message: expect.stringContaining('/pid'),
  })
  const abort = AbortSignal.abort()
  await expect(connect({ socket: scripted.socket, signal: abort })).rejects.toMatchObject({ code: 'Aborted' })
})

test('a watch begins anew when its stream breaks, and says so', async () => {
  // Proves that a viewer can't take a gap for silence.
  const event = { sequence: 1, time: 0, kind: 'thawed' }
  scripted.script.set('Watch', call => {
    call.replyMore({ allocations: [], mappings: [] })
    call.replyMore({ allocations: [], mappings: [], snapshotEnd: true })
    call.replyMore({ event })
    call.replyMore({ missed: 3 })
  })
  const client = await connected()
  const seen: unknown[] = []
  for await (const item of client.watch()) {
    seen.push(item.type === 'snapshot' ? { snapshot: item.again } : item)
    if (seen.length === 3) scripted.hangUp()
    if (seen.length === 6) break
  }
  const rest = [
    { type: 'event', event },
    { type: 'missed', count: 3 },
  ]
  expect(seen).toEqual([{ snapshot: false }, ...rest, { snapshot: true }, ...rest])
})

test('an aborted watch throws, a closed one ends', async () => {
  // Proves both ways out of an endless loop.
  scripted.script.set(
    'Watch',
    call => void call.replyMore({ allocations: [], mappings: [], snapshotEnd: true }),
  )
  const client = await connected()
  const abort = new AbortController()
  const consume = async () => {
    for await (const _ of client.watch({ signal: abort.signal })) abort.abort()
  }
  await expect(consume()).rejects.toMatchObject({ code: 'Aborted' })
  for await (const _ of client.watch()) await client.close()
})
