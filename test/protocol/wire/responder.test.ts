// Proves that calls are answered strictly in order and without recursion, that a peer that floods or does not read is
// held off, that every violation costs exactly the connection, and that reply descriptors always find an owner.
import { Buffer } from 'node:buffer'
import {
  fdsPerMessageMax,
  type ResponderLimits,
  replyBytesMax,
  responderLimits,
} from '../../../protocol/wire/limits'
import { encodeMessage, type Message, MessageReader, ProtocolViolation } from '../../../protocol/wire/message'
import { type Call, Responder, type Turns, type TurnTaker } from '../../../protocol/wire/responder'
import { atOnce, channelPair } from './memory-channel'

function setUp(
  onCall: (call: Call) => void,
  limits: Partial<ResponderLimits> = {},
  heldMax = Infinity,
  turns: Turns = atOnce,
) {
  const pair = channelPair()
  const received: Message[] = []
  const reader = new MessageReader({
    bytesMax: replyBytesMax,
    fdsMax: fdsPerMessageMax,
    closeFd: pair.ledger.close,
  })
  pair.near.open({
    onData: (bytes, fds) => reader.push(bytes, fds, message => received.push(message)),
    onEnd: () => {},
    onDrain: () => {},
  })
  const onClose = jest.fn<void, [Error | undefined]>()
  const calls: Call[] = []
  const held: number[] = []
  const responder = new Responder(pair.far.open, {
    closeFd: pair.ledger.close,
    limits: { ...responderLimits, ...limits },
    turns,
    onHeld: bytes => {
      held.push(bytes)
      return bytes <= heldMax
    },
    onCall: call => {
      calls.push(call)
      onCall(call)
    },
    onClose,
  })
  const send = (...requests: object[]) =>
    pair.near.send(Buffer.concat(requests.map(request => encodeMessage(request))), [])
  return {
    ...pair,
    received,
    calls,
    onClose,
    responder,
    send,
    held,
    values: () => received.map(({ value }) => value),
  }
}

const ignore = () => {}

describe('answering', () => {
  test('a call has its method, parameters and flags; the reply has its parameters and descriptors', () => {
    const it = setUp(call => call.reply({ pong: call.parameters }, fds))
    const fds = it.ledger.make(2)
    it.send({ method: 'a.b.Ping', parameters: { x: 1 } })
    it.pump()
    expect(it.calls[0]).toMatchObject({
      method: 'a.b.Ping',
      parameters: { x: 1 },
      more: false,
      oneway: false,
    })
    expect(it.received).toEqual([{ value: { parameters: { pong: { x: 1 } } }, fds }])
  })

  test.each([
    [{}],
    [{ parameters: null }],
    [{ more: null, oneway: null, upgrade: null }],
    [{ more: true, oneway: null, upgrade: null }],
    [{ more: false, oneway: false, upgrade: false }],
    [{ 'com.example': { trace: '1' }, 'com.example.plain': null }],
  ])('what may be left out, null, or a member of a vendor: %j', rest => {
    const it = setUp(call => call.reply({ got: call.parameters }))
    it.send({ method: 'a.b.C', ...rest })
    it.pump()
    expect(it.values()).toEqual([{ parameters: { got: {} } }])
  })

  test('a synchronous answer is sent within the read that brought the call', () => {
    const it = setUp(call => call.reply({}))
    it.send({ method: 'a.b.C' })
    it.near.deliver(65536)
    expect(it.far.queuedBytes).toBeGreaterThan(0)
  })

  test('an error reply, with and without parameters', () => {
    const it = setUp(call => (it.calls.length === 1 ? call.fail('a.b.No', { why: 1 }) : call.fail('a.b.No')))
    it.send({ method: 'a.b.C' }, { method: 'a.b.C' })
    it.pump()
    expect(it.values()).toEqual([
      { error: 'a.b.No', parameters: { why: 1 } },
      { error: 'a.b.No', parameters: {} },
    ])
  })

  test('a pipelined call is handed over only after the last reply to the one before it', () => {
    const it = setUp(ignore)
    it.send({ method: 'a.b.First', more: true }, { method: 'a.b.Second' }, { method: 'a.b.Third' })
    it.pump()
    expect(it.calls.map(({ method }) => method)).toEqual(['a.b.First'])
    expect(it.calls[0]!.replyMore({ n: 1 })).toBe(true)
    expect(it.calls).toHaveLength(1)
    it.calls[0]!.reply({ n: 2 })
    expect(it.calls.map(({ method }) => method)).toEqual(['a.b.First', 'a.b.Second'])
    it.calls[1]!.fail('a.b.No')
    expect(it.calls).toHaveLength(3)
    it.pump()
    expect(it.values()).toEqual([
      { parameters: { n: 1 }, continues: true },
      { parameters: { n: 2 } },
      { error: 'a.b.No', parameters: {} },
    ])
  })

  test('twenty thousand waiting calls answered synchronously do not recurse', () => {
    const it = setUp(call => {
      if (it.calls.length > 1) call.reply({})
    })
    const count = 20_000
    it.send(...Array.from({ length: count + 1 }, () => ({ method: 'a.b.C', oneway: false })))
    it.near.deliver(Number.MAX_SAFE_INTEGER)
    it.calls[0]!.reply({})
    it.pump()
    expect(it.received).toHaveLength(count + 1)
  })

  test('a oneway call gets no reply, closes the descriptors of one, and lets the next call through', () => {
    const it = setUp(call => (call.oneway ? call.reply({}, it.ledger.make(2)) : call.reply({ second: true })))
    it.send({ method: 'a.b.C', oneway: true }, { method: 'a.b.C' })
    it.pump()
    expect(it.values()).toEqual([{ parameters: { second: true } }])
    expect(it.ledger.openCount).toBe(0)
  })
})

describe('a handler that is wrong is told, and nothing is sent or leaked', () => {
  test('two last replies', () => {
    const it = setUp(call => call.reply({}))
    it.send({ method: 'a.b.C' })
    it.pump()
    expect(() => it.calls[0]!.reply({}, it.ledger.make(1))).toThrow('after its last reply')
    expect(() => it.calls[0]!.fail('a.b.No')).toThrow('after its last reply')
    it.pump()
    expect(it.received).toHaveLength(1)
    expect(it.ledger.openCount).toBe(0)
  })

  test('replyMore without more', () => {
    const it = setUp(ignore)
    it.send({ method: 'a.b.C' })
    it.pump()
    expect(() => it.calls[0]!.replyMore({}, it.ledger.make(1))).toThrow('without more')
    expect(it.ledger.openCount).toBe(0)
  })

  test('a reply too long or with too many descriptors; the call can still be failed', () => {
    const it = setUp(ignore)
    it.send({ method: 'a.b.C' })
    it.pump()
    const call = it.calls[0]!
    expect(() => call.reply({ x: 'x'.repeat(replyBytesMax) }, it.ledger.make(1))).toThrow(RangeError)
    expect(() => call.reply({}, it.ledger.make(fdsPerMessageMax + 1))).toThrow(RangeError)
    call.fail('a.b.TooMuch')
    it.pump()
    expect(it.values()).toEqual([{ error: 'a.b.TooMuch', parameters: {} }])
    expect(it.ledger.openCount).toBe(0)
  })

  test('what a handler throws reaches the caller of onData, and the connection ends', () => {
    const it = setUp(() => {
      throw new TypeError('ours')
    })
    it.send({ method: 'a.b.C' })
    expect(() => it.pump()).toThrow('ours')
    expect(it.far.closed).toBe(true)
    expect(it.onClose).toHaveBeenCalledTimes(1)
  })
})

describe('violations', () => {
  const deep = { method: 'a.b.C', parameters: JSON.parse('['.repeat(100) + ']'.repeat(100)) }
  test.each<[string, object]>([
    ['a call without a method', {}],
    ['a call without a method', { method: 7 }],
    ['a call whose parameters are not an object', { method: 'a.b.C', parameters: [] }],
    ['a call whose parameters are not an object', { method: 'a.b.C', parameters: 'x' }],
    ['a call whose more is not a boolean', { method: 'a.b.C', more: 1 }],
    ['a call whose oneway is not a boolean', { method: 'a.b.C', oneway: 0 }],
    ['a call whose upgrade is not a boolean', { method: 'a.b.C', upgrade: 'no' }],
    ['a call with both more and oneway', { method: 'a.b.C', more: true, oneway: true }],
    ['a call with upgrade, which is not offered', { method: 'a.b.C', upgrade: true }],
    ['a call with an unknown member', { method: 'a.b.C', paramters: {} }],
    ['a call with an unknown member', { method: 'a.b.C', 'x-trace': '1' }],
    ['a call with an unknown member', JSON.parse('{"method":"a.b.C","__proto__":{}}')],
    ['message nested deeper than 64', deep],
  ])('%s', (reason, request) => {
    const it = setUp(call => call.reply({}))
    it.send({ method: 'a.b.Good' }, request, { method: 'a.b.Never' })
    it.pump()
    expect(it.calls.map(({ method }) => method)).toEqual(['a.b.Good'])
    expect(it.far.closed).toBe(true)
    expect(it.onClose.mock.calls).toEqual([[new ProtocolViolation(reason)]])
    expect(it.onClose.mock.calls[0]![0]).toBeInstanceOf(ProtocolViolation)
  })

  test('descriptors with a call are closed', () => {
    const it = setUp(ignore)
    it.near.send(encodeMessage({ method: 'a.b.C' }), it.ledger.make(3))
    it.pump()
    expect(it.calls).toHaveLength(0)
    expect(it.onClose.mock.calls).toEqual([[new ProtocolViolation('descriptors with a call')]])
    expect(it.ledger.openCount).toBe(0)
  })

  test('a call over the limit', () => {
    const it = setUp(ignore, { messageBytesMax: 100 })
    it.send({ method: 'x'.repeat(100) })
    it.pump()
    expect(it.onClose.mock.calls).toEqual([[new ProtocolViolation('message longer than 100 bytes')]])
  })
})

describe('the end of the connection', () => {
  test('ends the open call: replies are dropped, their descriptors closed, waiting calls never handed over', () => {
    const it = setUp(ignore)
    it.send({ method: 'a.b.C', more: true }, { method: 'a.b.D' })
    it.pump()
    const call = it.calls[0]!
    const ended = jest.fn()
    call.onEnd(ended)
    it.far.events.onEnd(undefined)
    expect(ended).toHaveBeenCalledTimes(1)
    expect(call.ended).toBe(true)
    expect(call.replyMore({}, it.ledger.make(1))).toBe(false)
    call.reply({}, it.ledger.make(1))
    expect(it.calls).toHaveLength(1)
    expect(it.ledger.openCount).toBe(0)
    expect(it.onClose.mock.calls).toEqual([[undefined]])
    const late = jest.fn()
    call.onEnd(late)
    expect(late).toHaveBeenCalledTimes(1)
  })

  test('ends calls that wait for the turn of their uid', () => {
    const waiting: TurnTaker[] = []
    const it = setUp(ignore, {}, Infinity, { ready: connection => waiting.push(connection) })
    it.send({ method: 'a.b.C' }, { method: 'a.b.D' })
    it.pump()
    expect(waiting).toHaveLength(1)
    it.far.events.onEnd(undefined)
    expect(waiting[0]!.takeTurn()).toBe(false)
    expect(it.calls).toEqual([])
  })

  test('comes at once for descriptors, also of a call that is not complete: they would use up ours', () => {
    const it = setUp(ignore)
    it.near.send(Buffer.from('{"method"'), it.ledger.make(2))
    it.pump()
    expect(it.ledger.openCount).toBe(0)
    expect(it.onClose.mock.calls).toEqual([[new ProtocolViolation('descriptors with a call')]])
  })

  test('does not concern a call that was answered', () => {
    const it = setUp(ignore)
    it.send({ method: 'a.b.C' })
    it.pump()
    const ended = jest.fn()
    it.calls[0]!.onEnd(ended)
    it.calls[0]!.reply({})
    it.responder.close()
    expect(ended).not.toHaveBeenCalled()
  })

  test('close() inside onCall stops everything; onClose is called once', () => {
    const it = setUp(() => it.responder.close())
    it.send({ method: 'a.b.C' }, { method: 'a.b.D' }, { method: 7 })
    it.pump()
    it.responder.close()
    expect(it.calls).toHaveLength(1)
    expect(it.onClose.mock.calls).toEqual([[undefined]])
  })
})

describe('holding a peer off', () => {
  test('reading goes on as soon as a call is answered, also when nothing is sent that could drain', () => {
    const it = setUp(ignore, { callBytesInFlightMax: 1 })
    it.send({ method: 'a.b.C', oneway: true }, { method: 'a.b.D', oneway: true })
    it.pump()
    expect(it.far.paused).toBe(true)
    it.calls[0]!.reply({})
    expect(it.far.paused).toBe(false)
  })

  test('long waiting calls count by their bytes, so that no pipeline of them fills the memory', () => {
    const it = setUp(ignore, { callBytesInFlightMax: 5000 })
    const long = { method: 'a.b.C', parameters: { x: 'x'.repeat(2000) } }
    it.send(...Array.from({ length: 10 }, () => long))
    it.pump(() => 500)
    expect(it.far.paused).toBe(true)
    expect(it.near.queuedBytes).toBeGreaterThan(5 * 2000)
    for (let answered = 0; answered < 10; answered++) {
      it.calls[answered]!.reply({})
      it.pump(() => 500)
    }
    expect(it.far.paused).toBe(false)
    expect(it.received).toHaveLength(10)
  })

  test('calls that wait are kept as bytes, and parsed when they have their turn', () => {
    const it = setUp(ignore)
    it.send({ method: 'a.b.C' }, { method: 'a.b.D' })
    it.near.send(Buffer.from('no JSON\0'), [])
    it.pump()
    expect(it.calls).toHaveLength(1)
    expect(it.held.at(-1)).toBeGreaterThan(0)
    it.calls[0]!.reply({})
    expect(it.calls).toHaveLength(2)
    expect(it.far.closed).toBe(false)
    it.calls[1]!.reply({})
    expect(it.onClose.mock.calls).toEqual([[new ProtocolViolation('message is not valid JSON')]])
    expect(it.held.at(-1)).toBe(0)
  })

  test('where too much is kept, a whole call is waited with, and who has not finished one is dropped', () => {
    const it = setUp(ignore, {}, 100)
    it.send({ method: 'a.b.C' }, { method: 'x'.repeat(100) })
    it.pump()
    expect(it.far.paused).toBe(true)
    it.calls[0]!.reply({})
    it.calls[1]!.reply({})
    expect(it.far.paused).toBe(false)
    it.near.send(Buffer.alloc(200, 'x'), [])
    it.pump()
    expect(it.onClose.mock.calls[0]![0]).toMatchObject({
      message: expect.stringContaining('too much is kept'),
    })
  })

  test('a peer that has sent all its calls is answered before the end', () => {
    const it = setUp(ignore)
    it.send({ method: 'a.b.C' }, { method: 'a.b.D' })
    it.pump()
    it.far.events.onFinish!()
    it.calls[0]!.reply({ n: 1 })
    expect(it.far.closed).toBe(false)
    it.pump()
    it.calls[1]!.reply({ n: 2 })
    it.pump()
    expect(it.received).toHaveLength(2)
    expect(it.far.closed).toBe(true)
    expect(it.onClose.mock.calls).toEqual([[undefined]])
  })

  test('a peer that does not read its replies is not read from, nor are its waiting calls carried out', () => {
    const it = setUp(call => call.reply({ x: 'x'.repeat(1000) }), { outputBytesMax: 3000 })
    it.near.paused = true
    it.send(...Array.from({ length: 100 }, () => ({ method: 'a.b.C' })))
    it.pump()
    expect(it.calls).toHaveLength(3)
    expect(it.far.paused).toBe(true)
    it.near.paused = false
    it.pump()
    expect(it.received).toHaveLength(100)
    expect(it.far.paused).toBe(false)
  })

  test('replyMore says when the peer is slow, and onDrain when it is not any more', () => {
    const it = setUp(ignore, { outputBytesMax: 1000 })
    it.send({ method: 'a.b.C', more: true })
    it.pump()
    const call = it.calls[0]!
    const drained = jest.fn()
    call.onDrain(drained)
    expect(call.replyMore({ x: 'x'.repeat(500) })).toBe(true)
    expect(call.replyMore({ x: 'x'.repeat(500) })).toBe(false)
    it.pump()
    expect(drained).toHaveBeenCalledTimes(1)
    expect(call.replyMore({})).toBe(true)
    call.reply({})
    it.pump()
    expect(drained).toHaveBeenCalledTimes(1)
    expect(it.received).toHaveLength(4)
  })
})
