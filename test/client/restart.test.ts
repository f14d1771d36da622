/** Proves that the library takes nothing that one broker said for what the next one says. */
import { openSync } from 'node:fs'
import { type Broker, connect } from '../../src/client'
import { until } from '../support/test-broker'
import { allocation, mapping, range } from './support/records'
import { ScriptedBroker } from './support/scripted-broker'

let scripted: ScriptedBroker
let brokers: Broker[]

beforeEach(() => {
  scripted = new ScriptedBroker()
  brokers = []
  scripted.script
    .set('Watch', call => void call.replyMore({ allocations: [], mappings: [], snapshotEnd: true }))
    .set('ListRanges', call => call.reply({ ranges: [range] }))
    .set('GetAllocation', call => call.reply({ allocation, mappings: [] }))
    .set('CreateMapping', call => call.reply({ grant }, zero()))
    .set('RevokeMapping', call => call.reply({ outcome: 'revoked', step: '' }))
})

afterEach(async () => {
  for (const broker of brokers) await broker.close()
  scripted.dispose()
})

const grant = { mapping, fileDescriptor: 0, mmapOffset: 0 }
const zero = () => [openSync('/dev/zero', 'r')]

async function connected(): Promise<Broker> {
  const broker = await connect({ socket: scripted.socket, reconnect: { minDelayMs: 1, maxDelayMs: 5 } })
  brokers.push(broker)
  return broker
}

/** The grants to a claim of x by a process, and what the broker knows of x afterwards. */
const holderPid = 4711
const x = { ...allocation, holderPid }
const mappingOfX = (id: number) => ({ ...mapping, id, pid: holderPid })

test('a mapping asked for while the first stream of revokes breaks is made', async () => {
  // Proves that a restart before the library has asked for a descriptor is only a delay.
  const client = await connected()
  const target = await client.allocation('x')
  let watched = 0
  scripted.script.set('Watch', call => {
    if (watched++ === 0) return scripted.hangUp()
    call.replyMore({ mappings: [], snapshotEnd: true })
  })
  const made = await target.map()
  expect(made.state).toBe('held')
  expect(watched).toBe(2)
})

test('a broker that ends each stream of revokes is an error of the library', async () => {
  // Proves that the wait is bounded, and that its end has a code.
  const broker = await connect({ socket: scripted.socket, reconnect: { minDelayMs: 1, timeoutMs: 100 } })
  brokers.push(broker)
  const target = await broker.allocation('x')
  scripted.script.set('Watch', (_, responder) => responder.close())
  await expect(target.map()).rejects.toMatchObject({ name: 'BrokerError', code: 'ConnectionLost' })
})

test('a mapping that the next broker does not know is lost, also where its ranges are still asked for', async () => {
  // Proves that the library listens for a mapping from the moment that it has its descriptor.
  const client = await connected()
  const target = await client.allocation('x')
  const kept = await target.map()
  const lost: number[] = []
  client.on('mappingLost', ({ id }) => lost.push(id))
  const asked = new Promise(resolve => {
    client.once('disconnected', () => void target.map().then(resolve, resolve))
  })
  let isGranted = false
  let hasRestarted = false
  scripted.script
    .set('CreateMapping', call => {
      isGranted = true
      call.reply({ grant: { ...grant, mapping: { ...mapping, id: 2 } } }, zero())
    })
    .set('ListRanges', async call => {
      if (isGranted && !hasRestarted) {
        hasRestarted = true
        return scripted.hangUp()
      }
      if (isGranted) await until(() => lost.length > 0, 'the library to miss the mapping')
      call.reply({ ranges: [range] })
    })
    .set('Watch', call => void call.replyMore({ mappings: [mapping], snapshotEnd: true }))
  scripted.hangUp()
  await asked
  expect(lost).toEqual([2])
  expect(kept.state).toBe('held')
})

test('participants are those of one broker', async () => {
  // Proves that rows of a list that a restart has cut off are not mixed with those of the next broker.
  const participant = (id: number) => ({ id, name: 'vm', uid: 0, pid: 1, state: 'idle', waitedFor: true })
  let asked = 0
  scripted.script.set('GetUpdate', call => {
    const isFirst = asked++ === 0
    for (const id of isFirst ? [1, 2] : [8]) call.replyMore({ participants: [participant(id)] })
    if (isFirst) setTimeout(() => scripted.hangUp(), 50)
    else call.reply({ participants: [participant(9)] })
  })
  const client = await connected()
  const { participants } = await client.update()
  expect(participants.map(({ id }) => id)).toEqual([8, 9])
})

test('of two claims at once, the one that is cut off gets its mappings', async () => {
  // Proves that a claim that succeeds does not hide what another one has lost.
  let cutOff: (() => void) | undefined
  let claims = 0
  scripted.script
    .set('Claim', (call, responder) => {
      const { name } = call.parameters as { name: string }
      if (name === 'y') call.reply({ outcome: 'claimed', allocation: { ...x, id: 2, name }, grants: [] })
      else if (claims++ === 0) cutOff = () => responder.close()
      else call.reply({ outcome: 'claimed', allocation: x, grants: [] })
    })
    .set('GetAllocation', call => call.reply({ allocation: x, mappings: [mappingOfX(20)] }))
    .set('CreateMapping', call => call.reply({ grant: { ...grant, mapping: mappingOfX(21) } }, zero()))
  const client = await connected()
  // The one that ends first begins first.
  const y = client.claim('y')
  const first = client.claim('x')
  await y
  await until(() => cutOff !== undefined, 'the claim of x')
  cutOff!()
  const { mappings } = await first
  expect(mappings.map(({ id }) => id)).toEqual([21])
})

test('a rebuild that was cut off leaves the mappings of another connection of the process alone', async () => {
  // Proves that the library makes only those mappings anew that nobody in the process has.
  const one = await connected()
  scripted.script.set('CreateMapping', call =>
    call.reply({ grant: { ...grant, mapping: mappingOfX(20) } }, zero()),
  )
  const kept = await (await one.allocation('x')).map()
  let claims = 0
  scripted.script
    .set('Watch', call => void call.replyMore({ mappings: [mappingOfX(20)], snapshotEnd: true }))
    .set('Claim', call => {
      if (claims++ === 0) scripted.hangUp()
      else call.reply({ outcome: 'claimed', allocation: x, grants: [] })
    })
    .set('GetAllocation', call => call.reply({ allocation: x, mappings: [mappingOfX(20)] }))
  const { claimed } = await (await connected()).rebuild()
  expect(claimed.map(({ mappings }) => mappings)).toEqual([[]])
  expect(scripted.calls).not.toContain('RevokeMapping')
  expect(kept.state).toBe('held')
})
