/**
 * Proves that whatever bytes and descriptors a peer sends, it gets a named error or loses its own connection, with one
 * line in the log; others go on being answered, and not a descriptor, byte of memory or quota is lost.
 */
import { createHash } from 'node:crypto'
import { openSync } from 'node:fs'
import { messageBytesMax } from '../../protocol/wire/limits'
import { leaksNothing } from '../support/leaks-nothing'
import { RawClient } from '../support/raw-client'
import { TestBroker, until } from '../support/test-broker'
import { Witness } from '../support/witness'

const page = 4096
const seed = process.env.MEMBROKER_SEED ?? 'membroker'
let broker: TestBroker

beforeAll(async () => {
  broker = await TestBroker.start()
})
afterAll(() => broker.dispose())

/** Runs an attack beside a witness; nothing of it may remain. */
async function attack(body: (peer: RawClient) => Promise<void>): Promise<void> {
  await leaksNothing(broker, async () => {
    const witness = new Witness(broker)
    const peer = new RawClient(broker.socket)
    await body(peer)
    peer.close()
    await witness.demandAnswers()
  })
}

/** Bytes that look random and are the same each time. */
function noise(label: string, bytes: number): Buffer {
  const blocks = []
  for (let index = 0; index * 32 < bytes; index++)
    blocks.push(createHash('sha256').update(`${seed} ${label} ${index}`).digest())
  return Buffer.concat(blocks).subarray(0, bytes)
}

const call = (member: object) => `${JSON.stringify(member)}\0`
const status = { method: 'io.membroker.Broker.GetStatus', parameters: {} }

describe('a peer that breaks the protocol loses its connection, and the log says why', () => {
  test.each<[string, string | Buffer, string]>([
    ['no JSON', 'hello\0', 'not valid JSON'],
    ['an empty message', '\0', 'empty message'],
    ['a list', '[]\0', 'not a JSON object'],
    ['null', 'null\0', 'not a JSON object'],
    ['no method', '{}\0', 'without a method'],
    ['a method that is a number', call({ method: 7 }), 'without a method'],
    ['parameters that are a list', call({ ...status, parameters: [] }), 'parameters are not an object'],
    ['a flag that is a number', call({ ...status, more: 1 }), 'more is not a boolean'],
    ['contradicting flags', call({ ...status, more: true, oneway: true }), 'both more and oneway'],
    ['an upgrade', call({ ...status, upgrade: true }), 'upgrade'],
    ['an unknown member', call({ ...status, extra: 1 }), 'unknown member'],
    ['invalid UTF-8', Buffer.from('7b226d6574686f64223a22ff227d00', 'hex'), 'not valid UTF-8'],
    ['half a surrogate pair', '{"method":"\\ud800"}\0', 'not valid Unicode'],
    [
      'deep nesting',
      `{"method":"x","parameters":${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}}\0`,
      'nested deeper',
    ],
    ['a giant message', `{"method":"${'x'.repeat(messageBytesMax)}"}\0`, 'longer than'],
    ['a giant message that never ends', Buffer.alloc(8 * messageBytesMax, 'x'), 'longer than'],
  ])('%s', async (_, bytes, reason) => {
    await attack(async peer => {
      const from = broker.log.length
      peer.send(bytes)
      await peer.untilEnded()
      expect(peer.replies).toEqual([])
      await until(() => broker.log.slice(from).includes(reason), `'${reason}' in the log`)
      expect(broker.log.slice(from).match(/"client dropped"/g)).toHaveLength(1)
    })
  })
})

test('what was asked before the violation is answered, what comes after it is not', async () => {
  await attack(async peer => {
    peer.send(`${call(status)}garbage\0${call(status)}`)
    await peer.untilEnded()
    expect(peer.replies.length).toBeLessThanOrEqual(1)
  })
})

test('noise of many kinds ends each connection and nothing else', async () => {
  await leaksNothing(broker, async () => {
    const witness = new Witness(broker)
    for (let round = 0; round < 200; round++) {
      const peer = new RawClient(broker.socket)
      const bytes = noise(`round ${round}`, 1 + ((round * 37) % 3000))
      // Half of them are a good call of which some bytes were changed.
      if (round % 2 === 0) {
        const good = Buffer.from(call(status))
        for (let spoiled = 0; spoiled <= round % 5; spoiled++)
          good[bytes[spoiled % bytes.length]! % good.length] = bytes[(spoiled + 1) % bytes.length]!
        peer.send(good)
      } else peer.send(bytes)
      peer.send('\0')
      await peer.untilEnded()
      for (const reply of peer.replies) expect(reply.error ?? reply.parameters).toBeDefined()
    }
    await witness.demandAnswers()
  })
})

test('a message cut off at any byte changes nothing', async () => {
  await leaksNothing(broker, async () => {
    const text = call({ method: 'io.membroker.Broker.Allocate', parameters: { name: 'cut', bytes: page } })
    for (let length = 1; length < text.length; length++) {
      const peer = new RawClient(broker.socket)
      peer.send(text.slice(0, length))
      peer.close()
    }
    const client = broker.client()
    expect((await client.call('ListAllocations', {})).allocations).toEqual([])
  })
})

test('a call that comes byte by byte is a call', async () => {
  await attack(async peer => {
    for (const byte of Buffer.from(call(status))) {
      peer.send(Buffer.of(byte))
      await new Promise(resolve => setImmediate(resolve))
    }
    expect((await peer.untilReplies(1))[0]!.parameters).toMatchObject({ allocations: 0 })
  })
})

describe('descriptors with a call cost the connection and are closed', () => {
  const open = (count: number) => Array.from({ length: count }, () => openSync('/dev/null', 'r'))
  test.each([
    ['one', 1],
    ['as many as a message may carry', 128],
    ['more than a message may carry', 253],
  ])('%s', async (_, count) => {
    await attack(async peer => {
      peer.send(call(status), open(count))
      await peer.untilEnded()
      expect(peer.replies).toEqual([])
    })
  })

  test('with bytes in the middle of a message', async () => {
    await attack(async peer => {
      peer.send('{"method":"x"')
      await new Promise(resolve => setTimeout(resolve, 20))
      peer.send('}\0', open(3))
      await peer.untilEnded()
    })
  })

  test('with the first part of a message that never ends', async () => {
    await attack(async peer => {
      peer.send('{"method":', open(5))
      peer.close()
    })
  })

  test('with every one of many messages, sent before the first is read', async () => {
    await attack(async peer => {
      for (let round = 0; round < 50; round++) peer.send(call(status), open(4))
      await peer.untilEnded()
    })
  })

  test('the connection itself, and a descriptor of the memory that was granted', async () => {
    await leaksNothing(broker, async () => {
      const client = broker.client()
      await client.call('Allocate', { name: 'own', bytes: page })
      const { fds } = await client.call('CreateMapping', { name: 'own' })
      const peer = new RawClient(broker.socket)
      peer.send(call(status), [openSync(`/proc/self/fd/${fds[0]}`, 'r+')])
      await peer.untilEnded()
      client.closeFd(fds[0]!)
      // Had the broker kept it, no proof of the memory's end would come.
      await expect(client.call('Release', { name: 'own', graceMs: 0 })).resolves.toMatchObject({
        outcome: 'released',
      })
    })
  })
})

describe('a call that makes no sense is answered by name, and the connection goes on', () => {
  test.each<[string, object, string, object]>([
    [
      'an unknown method',
      { method: 'io.membroker.Broker.Format' },
      'org.varlink.service.MethodNotFound',
      { method: 'io.membroker.Broker.Format' },
    ],
    [
      'a method of Object',
      { method: 'io.membroker.Broker.__proto__' },
      'org.varlink.service.MethodNotFound',
      {},
    ],
    ['no interface', { method: 'GetStatus' }, 'org.varlink.service.InterfaceNotFound', { interface: '' }],
    [
      'an unknown interface',
      { method: 'a.b.C' },
      'org.varlink.service.InterfaceNotFound',
      { interface: 'a.b' },
    ],
    [
      'a missing parameter',
      { method: 'io.membroker.Broker.Allocate', parameters: { name: 'x' } },
      'org.varlink.service.InvalidParameter',
      { parameter: 'bytes' },
    ],
    [
      'an unknown parameter',
      { method: 'io.membroker.Broker.GetStatus', parameters: { verbose: true } },
      'org.varlink.service.InvalidParameter',
      { parameter: 'verbose' },
    ],
    [
      '__proto__ as a parameter',
      { method: 'io.membroker.Broker.GetStatus', parameters: JSON.parse('{"__proto__":{"uid":0}}') },
      'org.varlink.service.InvalidParameter',
      { parameter: '__proto__' },
    ],
    ...([['1'], [1.5], [true], [[]], [{}], [2 ** 53], [-(2 ** 53)], [1e300]] as const).map(
      ([bytes]): [string, object, string, object] => [
        `bytes: ${JSON.stringify(bytes)}`,
        { method: 'io.membroker.Broker.Allocate', parameters: { name: 'x', bytes } },
        'org.varlink.service.InvalidParameter',
        { parameter: 'bytes' },
      ],
    ),
    [
      'a name that is a number',
      { method: 'io.membroker.Broker.GetAllocation', parameters: { name: 7 } },
      'org.varlink.service.InvalidParameter',
      { parameter: 'name' },
    ],
    [
      'an access that does not exist',
      { method: 'io.membroker.Broker.CreateMapping', parameters: { name: 'x', access: 'execute' } },
      'org.varlink.service.InvalidParameter',
      { parameter: 'access' },
    ],
    [
      'a stream without more',
      { method: 'io.membroker.Broker.Watch' },
      'org.varlink.service.ExpectedMore',
      {},
    ],
  ])('%s', async (_, message, error, parameters) => {
    await attack(async peer => {
      peer.send(call(message))
      const [reply] = await peer.untilReplies(1)
      expect(reply).toMatchObject({ error, parameters })
      peer.send(call(status))
      expect((await peer.untilReplies(2))[1]!.error).toBeUndefined()
    })
  })
})

test('oneway calls are done and not answered, whatever they are', async () => {
  await attack(async peer => {
    for (const method of ['GetStatus', 'Nonsense', 'CreateMapping'])
      peer.call(method, method === 'CreateMapping' ? { name: 'nobody' } : {}, { oneway: true })
    peer.call('Allocate', { name: 'quiet', bytes: page }, { oneway: true })
    peer.call('CreateMapping', { name: 'quiet' }, { oneway: true })
    peer.call('GetAllocation', { name: 'quiet' })
    const replies = await peer.untilReplies(1)
    expect(replies).toHaveLength(1)
    expect(replies[0]!.parameters).toMatchObject({ allocation: { name: 'quiet', mappings: 1 } })
  })
})

test('a client that is gone before its descriptor comes leaves nothing open', async () => {
  await leaksNothing(broker, async () => {
    const owner = broker.client()
    await owner.call('Allocate', { name: 'left', bytes: page })
    for (let round = 0; round < 100; round++) {
      const peer = new RawClient(broker.socket)
      peer.call('CreateMapping', { name: 'left' })
      if (round % 2 === 0) await peer.untilReplies(1)
      peer.close()
      if (round % 10 === 9) {
        await until(async () => (await owner.call('GetStatus', {})).clients === 1, 'the peers are gone')
        const { mappings } = await owner.call('GetAllocation', { name: 'left' })
        for (const { id } of mappings) await owner.call('RevokeMapping', { mapping: id })
      }
    }
  })
})

test('connections that open and close at once, and some that never close until the end', async () => {
  await leaksNothing(broker, async () => {
    const witness = new Witness(broker)
    const idle = Array.from({ length: 50 }, () => new RawClient(broker.socket))
    for (let round = 0; round < 300; round++) new RawClient(broker.socket).close()
    const client = broker.client()
    await until(
      async () => (await client.call('GetStatus', {})).clients === 52,
      'only the idle ones are left',
    )
    for (const peer of idle) peer.close()
    await witness.demandAnswers()
  })
})
