/** Proves that a rebuild whose connection breaks loses no mapping, and that an aborted one leaves no descriptor. */
import { openSync } from 'node:fs'
import { connect } from '../../src/client'
import { sameFds, settledFds } from '../support/leaks-nothing'
import { until } from '../support/test-broker'
import { allocation, mapping, range } from './support/records'
import { ScriptedBroker } from './support/scripted-broker'

let scripted: ScriptedBroker

beforeEach(() => {
  scripted = new ScriptedBroker()
})
afterEach(() => scripted.dispose())

test('a rebuild whose connection breaks goes on, and makes anew the mappings whose descriptors never came', async () => {
  // Proves that a broker restart in the middle of a rebuild costs no mapping: allocation x arrives before the break,
  // y is claimed at the broker but its reply is lost, so y's mapping is held by this process without a descriptor.
  const zero = () => [openSync('/dev/zero', 'r')]
  const holderPid = 4711
  const x = { ...allocation, id: 1, name: 'x', holderPid }
  const y = { ...allocation, id: 2, name: 'y', holderPid }
  const mappingX = { ...mapping, id: 10, allocation: 'x', pid: holderPid }
  const mappingY = {
    ...mapping,
    id: 20,
    allocation: 'y',
    pid: holderPid,
    guestAddress: 8192,
    metadata: { slot: 2 },
  }
  const revoked: unknown[] = []
  let claims = 0
  scripted.script
    .set('ListRanges', call => call.reply({ ranges: [range] }))
    .set('Watch', call => void call.replyMore({ mappings: claims > 0 ? [mappingX] : [], snapshotEnd: true }))
    .set('Claim', (call, responder) => {
      if (claims++ === 0) {
        const grants = [{ mapping: mappingX, fileDescriptor: 0, mmapOffset: 0 }]
        call.replyMore({ outcome: 'claimed', allocation: x, grants }, zero())
        setTimeout(() => responder.close(), 50)
        return
      }
      call.replyMore({ outcome: 'claimed', allocation: x, grants: [] })
      call.reply({ outcome: 'claimed', allocation: y, grants: [] })
    })
    .set('GetAllocation', call => {
      const isX = (call.parameters as { name: string }).name === 'x'
      call.reply(isX ? { allocation: x, mappings: [mappingX] } : { allocation: y, mappings: [mappingY] })
    })
    .set('CreateMapping', call => {
      const { offset, length, access, guestAddress, metadata } = call.parameters as Record<string, unknown>
      const made = { ...mapping, id: 21, allocation: 'y', offset, length, access, guestAddress, metadata }
      call.reply({ grant: { mapping: made, fileDescriptor: 0, mmapOffset: 0 } }, zero())
    })
    .set('RevokeMapping', call => {
      revoked.push(call.parameters)
      call.reply({ outcome: 'revoked', step: '' })
    })
  const before = await settledFds()
  const broker = await connect({ socket: scripted.socket, reconnect: { minDelayMs: 1, maxDelayMs: 5 } })
  const { claimed, notClaimed } = await broker.rebuild()
  expect(notClaimed).toEqual([])
  expect(claimed.map(({ allocation, mappings }) => [allocation.name, mappings.map(({ id }) => id)])).toEqual([
    ['x', [10]],
    ['y', [21]],
  ])
  expect(claimed[1]!.mappings[0]).toMatchObject({ guestAddress: 8192, metadata: { slot: 2 }, length: 4096 })
  expect(revoked).toEqual([{ mapping: 20 }])
  await broker.close()
  await sameFds(before)
})

test('a rebuild over a restart of the broker goes on, and listens to the new one', async () => {
  // Proves that what the library prepared with the old broker is prepared again: the ranges, and the stream of revokes.
  let claims = 0
  let listening = 0
  scripted.script
    .set('ListRanges', call => call.reply({ ranges: [range] }))
    .set('Watch', call => {
      listening++
      call.replyMore({ mappings: claims > 1 ? [mapping] : [], snapshotEnd: true })
    })
    .set('Claim', call => {
      if (claims++ === 0) return scripted.hangUp()
      const grants = [{ mapping, fileDescriptor: 0, mmapOffset: 0 }]
      call.reply({ outcome: 'claimed', allocation, grants }, [openSync('/dev/zero', 'r')])
    })
    .set('GetAllocation', call => call.reply({ allocation, mappings: [mapping] }))
    .set('RevokeMapping', call => call.reply({ outcome: 'revoked', step: '' }))
  const broker = await connect({ socket: scripted.socket, reconnect: { minDelayMs: 1, maxDelayMs: 5 } })
  const { claimed } = await broker.rebuild()
  expect(claimed.map(({ mappings }) => mappings.map(({ id }) => id))).toEqual([[mapping.id]])
  await until(() => listening === 2, 'the library to listen to the new broker')
  expect(claimed[0]!.mappings[0]!.state).toBe('held')
  await broker.close()
})

test('an aborted rebuild closes what it had', async () => {
  // Proves that whoever gets an error has no descriptors to look after.
  const abort = new AbortController()
  scripted.script
    .set('ListRanges', call => call.reply({ ranges: [range] }))
    .set('Watch', call => void call.replyMore({ mappings: [], snapshotEnd: true }))
    .set('Claim', call => {
      const grants = [{ mapping, fileDescriptor: 0, mmapOffset: 0 }]
      call.replyMore({ outcome: 'claimed', allocation, grants }, [openSync('/dev/zero', 'r')])
      setTimeout(() => abort.abort(), 50)
    })
  const broker = await connect({ socket: scripted.socket })
  const before = await settledFds()
  await expect(broker.rebuild({ signal: abort.signal })).rejects.toMatchObject({ code: 'Aborted' })
  // Both ends of the Watch connection are new, and stay.
  await sameFds([...before, 'socket:[N]', 'socket:[N]'])
  await broker.close()
})

test('a take-over that was cut off and repeated brings the mapping that the library gives back', async () => {
  // Proves that the caller's mapping, which the broker grants twice, is the one that the broker's requests concern.
  const zero = () => [openSync('/dev/zero', 'r')]
  const joined = { ...allocation, holderPid: 1, successorPid: 4711 }
  const taken = { ...mapping, id: 10, pid: 4711 }
  const out = {
    outcome: 'joined',
    allocation: joined,
    grants: [{ mapping: taken, fileDescriptor: 0, mmapOffset: 0 }],
  }
  let claims = 0
  let ask = () => {}
  scripted.script
    .set('ListRanges', call => call.reply({ ranges: [range] }))
    .set('Watch', call => {
      call.replyMore({ mappings: [], snapshotEnd: true })
      ask = () =>
        void call.replyMore({ event: { sequence: 1, time: 0, kind: 'revokeRequested', mapping: 10 } })
    })
    .set('Claim', (call, responder) => {
      if (claims++ > 0) return call.reply(out, zero())
      call.replyMore(out, zero())
      setTimeout(() => responder.close(), 50)
    })
    .set('GetAllocation', call => call.reply({ allocation: joined, mappings: [taken] }))
    .set('RevokeMapping', call => call.reply({ outcome: 'revoked', step: '' }))
  const before = await settledFds()
  const broker = await connect({ socket: scripted.socket, reconnect: { minDelayMs: 1, maxDelayMs: 5 } })
  const { claimed } = await broker.rebuild({ takeOver: true })
  const mappings = claimed.flatMap(({ mappings }) => mappings)
  expect(mappings.map(({ id }) => id)).toEqual([10])
  ask()
  await until(() => scripted.calls.includes('RevokeMapping'), 'the library to give the mapping back')
  expect(mappings[0]!.state).toBe('closed')
  await broker.close()
  await sameFds(before)
})

test('a claim that every broker cuts off ends', async () => {
  // Proves that a claim waits for the broker as long as any other call, however often the connection breaks.
  scripted.script
    .set('ListRanges', call => call.reply({ ranges: [range] }))
    .set('Watch', call => void call.replyMore({ mappings: [], snapshotEnd: true }))
    .set('Claim', (_, responder) => responder.close())
  const broker = await connect({ socket: scripted.socket, reconnect: { minDelayMs: 1, timeoutMs: 100 } })
  await expect(broker.claim('x')).rejects.toMatchObject({ name: 'BrokerError', code: 'ConnectionLost' })
  await broker.close()
})
