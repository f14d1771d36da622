/**
 * Proves that no number of connections buys anything: not time, memory, descriptors or places that are others'. Calls have
 * their turns by uid, are kept as bytes until then, and are not carried out for who is gone; whoever has to get in gets in.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { type BrokerMethodName, brokerInterfaceName } from '../../protocol/generated/broker'
import { messageBytesMax, outputFdsMax } from '../../protocol/wire/limits'
import { Attacker } from '../program/attacker'
import { againstTenants, neighbour, startWithTenants, tenant } from '../program/tenants'
import { leaksNothing } from '../support/leaks-nothing'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { type TestBroker, until } from '../support/test-broker'
import { Witness } from '../support/witness'

const page = 4096
const MiB = 2 ** 20
const stranger = 65520
let broker: TestBroker

const against = againstTenants(started => {
  broker = started.broker
})

const as = (uid: number) => OtherProcess.start(broker.socket, { uid })
const call = (method: BrokerMethodName, parameters: object = {}, more = false) =>
  `${JSON.stringify({ method: `${brokerInterfaceName}.${method}`, parameters, ...(more && { more }) })}\0`

/** Connections of that process, each of which sends the text over and over, as often as told, and reads nothing. */
const flood = (other: OtherProcess, connections: number, text: string, times: number) =>
  other.run(
    async ({ native, state }, [socket, connections, text, times]) => {
      state.flood ??= []
      /** The listener's backlog may be full for a moment. */
      const connected = async () => {
        for (;;) {
          try {
            return native.connectUnix(socket)
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
            await new Promise(resolve => setTimeout(resolve, 5))
          }
        }
      }
      for (let count = 0; count < connections; count++) {
        const peer = new native.Socket(await connected(), {
          onData: () => {},
          onEnd: () => {},
          onDrain: () => {},
        })
        peer.pause()
        peer.send(Buffer.from(text.repeat(times)), [])
        state.flood.push(peer)
      }
    },
    [broker.socket, connections, text, times] as const,
  )

async function callsOf(method: BrokerMethodName): Promise<number> {
  const { methods } = await broker.ask('GetStatistics', {})
  return methods.find(counted => counted.method === method)!.calls
}

/** How many of the broker's descriptors are memory of the range. */
function memoryFds(directory: string): number {
  const folder = `/proc/${broker.pid}/fd`
  const targets = readdirSync(folder).map(fd => {
    try {
      return readlinkSync(`${folder}/${fd}`)
    } catch {
      return ''
    }
  })
  return targets.filter(target => target.startsWith(`${directory}/alloc-`)).length
}

const suite = needsRoot('attacks by clients of other uids') ? describe : describe.skip

suite('calls', () => {
  const connections = 300

  test.each([
    ['a uid without rights', stranger],
    ['an owner', tenant],
  ])('by the ten thousand on many connections of %s come in turns with those of another', async (_, uid) => {
    await against({ rest: `[broker]\nstrangers_max = ${2 * connections}\n` }, async () => {
      const attacker = await as(uid)
      const client = broker.client()
      const oneway = `${JSON.stringify({ method: `${brokerInterfaceName}.ListRanges`, oneway: true })}\0`
      await flood(attacker, connections, oneway, 4000)
      const between: number[] = []
      let before = await callsOf('ListRanges')
      for (let round = 0; round < 50; round++) {
        const { methods } = await client.call('GetStatistics', {})
        const calls = methods.find(({ method }) => method === 'ListRanges')!.calls
        between.push(calls - before)
        before = calls
      }
      // All of it while the flood goes on.
      expect(before).toBeLessThan(connections * 3500)
      // By connection each of these calls would have waited for sixteen of every other connection.
      expect(Math.min(...between)).toBeLessThan(10 * connections)
    })()
  })

  test(
    'are not carried out for a client that is gone',
    against({}, async () => {
      const attacker = await as(stranger)
      const before = await callsOf('ListRanges')
      process.kill(broker.pid, 'SIGSTOP')
      await flood(attacker, 100, call('ListRanges'), 200)
      await attacker.kill()
      process.kill(broker.pid, 'SIGCONT')
      const client = broker.client()
      await until(
        async () => (await client.call('ListClients', {})).clients.every(({ uid }) => uid !== stranger),
        'all of it is gone',
      )
      expect(await callsOf('ListRanges')).toBe(before)
    }),
  )

  test(
    'are all answered for a client that has only finished sending',
    against({}, async () => {
      const text = ['Allocate', 'Release', 'GetStatus'].map(method =>
        call(
          method as BrokerMethodName,
          method === 'GetStatus' ? {} : { name: 'brief', ...(method === 'Allocate' && { bytes: page }) },
        ),
      )
      const socket = connect({ path: broker.socket, allowHalfOpen: true })
      const received: Buffer[] = []
      socket.on('data', bytes => received.push(bytes))
      socket.end(text.join(''))
      await new Promise(resolve => socket.once('end', resolve))
      const replies = Buffer.concat(received).toString().split('\0').slice(0, -1)
      expect(replies).toHaveLength(3)
      for (const reply of replies) expect(JSON.parse(reply)).not.toHaveProperty('error')
    }),
  )

  test(
    'that wait cost their bytes, and not beyond a budget of their uid',
    against({}, async () => {
      const rssBytes = () =>
        Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${broker.pid}/status`, 'latin1'))![1]) * 1024
      const attacker = await as(tenant)
      const before = rssBytes()
      const witness = new Witness(broker)
      const objects = '{},'.repeat(messageBytesMax / 3 - 20)
      const long = `{"method":"x","parameters":{"x":[${objects}{}]}}\0`
      await attacker.run(async ({ client, state }) => {
        await client.call('Allocate', { name: 'held', bytes: 4096 })
        state.mapped = await client.call('CreateMapping', { name: 'held' })
      })
      // It waits for its own process, which does not give anything back; behind it the others wait.
      const first = call('Release', { name: 'held', graceMs: 3_600_000 })
      await flood(attacker, 1500, `${first}${long}${long}`, 1)
      await until(() => broker.log.includes('too much is kept'), 'the budget is full')
      const client = broker.client()
      await client.call('ListClients', {})
      // As objects they would be 4 GiB.
      expect(rssBytes() - before).toBeLessThan(400 * MiB)
      await witness.demandAnswers()
    }),
  )
})

suite('a byte out of band', () => {
  test(
    'costs the connection',
    against({}, async () => {
      const mine = await as(stranger)
      const attacker = await Attacker.start(mine, ['urgent', broker.socket])
      expect(attacker.answer).toBe('ready')
      expect(await attacker.again()).toBe('done')
      await attacker.end()
    }),
  )
})

suite('connections that do nothing', () => {
  const third = 65532
  const rest = `[broker]\nclients_max = 160\nclients_per_uid_max = 160\nstrangers_max = 20\n[[owner]]\nuid = ${third}\n`

  test(
    'of two owners and of many strangers lock out neither another owner nor an administrator',
    against({ rest }, async () => {
      // The owners last: they take all that is left.
      const others = await Promise.all([stranger, stranger + 1, stranger + 2, tenant, neighbour].map(as))
      for (const other of others) await flood(other, 200, '{', 1)
      await until(() => broker.log.includes('too many clients'), 'some are turned away')
      const owner = await as(third)
      expect(await owner.refusal('Allocate', { name: 'third', bytes: page })).toBeUndefined()
      const { clients } = await broker.ask('ListClients', {})
      const of = (...uids: number[]) => clients.filter(({ uid }) => uids.includes(uid)).length
      expect(clients.length).toBeLessThanOrEqual(160)
      expect(of(stranger, stranger + 1, stranger + 2)).toBe(20)
      expect(of(stranger)).toBe(10)
      // Until one of them has closed, the next one of nobody in particular is turned away; it is not for these.
      for (let count = 0; count < 10; count++) await broker.client().call('GetStatus', {})
    }),
  )
})

suite('descriptors in replies that are not read', () => {
  test('are few, of a connection and of a uid, and another owner gets its own', async () => {
    const started = await startWithTenants()
    broker = started.broker
    // An eighth of them is for replies, half of that for one uid.
    const [filesMax, ofUid] = [8192, 512]
    await broker.kill()
    await broker.start(['sh', '-c', `ulimit -n ${filesMax} && exec "$@"`, 'sh'])
    const settled = async () => {
      let before: number
      do {
        before = await callsOf('CreateMapping')
        await new Promise(resolve => setTimeout(resolve, 100))
      } while ((await callsOf('CreateMapping')) !== before)
      return memoryFds(started.directory)
    }
    await leaksNothing(broker, async () => {
      const [connections, grants] = [8, 600]
      const attacker = await as(tenant)
      await attacker.run(
        async ({ client }, allocations) => {
          for (let index = 0; index < allocations; index++)
            await client.call('Allocate', { name: `a/${index}`, bytes: 4096 })
        },
        (connections * grants) / 100,
      )
      for (let index = 0; index < connections; index++) {
        const texts = Array.from({ length: grants }, (_, count) =>
          call('CreateMapping', { name: `a/${(index * grants) / 100 + Math.floor(count / 100)}` }),
        )
        await flood(attacker, 1, texts.join(''), 1)
        if (index > 0) continue
        await until(() => memoryFds(started.directory) >= outputFdsMax, 'calls wait for it to read')
        expect(await settled()).toBeLessThanOrEqual(outputFdsMax + 1)
      }
      await until(() => broker.log.includes('reads too few of its replies'), 'a connection is dropped')
      expect(await settled()).toBeLessThanOrEqual(ofUid)
      const mine = await as(neighbour)
      expect(await mine.refusal('Allocate', { name: 'mine', bytes: page })).toBeUndefined()
      expect(await mine.refusal('CreateMapping', { name: 'mine' })).toBeUndefined()
    }).finally(started.end)
  })
})
