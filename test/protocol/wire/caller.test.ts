// Proves that each call gets its own reply in order, that a peer that breaks the rules loses the connection and every
// waiting call learns of it, that a slow reader of a stream bounds what is buffered, and that no descriptor leaks.
import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { Caller, ConnectionLost, VarlinkError } from '../../../protocol/wire/caller'
import { messageBytesMax, responderLimits, streamRepliesMax } from '../../../protocol/wire/limits'
import { encodeMessage, ProtocolViolation } from '../../../protocol/wire/message'
import { type Call, Responder } from '../../../protocol/wire/responder'
import { atOnce, channelPair, settle } from './memory-channel'

function setUp() {
  const pair = channelPair()
  const onClose = jest.fn<void, [Error | undefined]>()
  const caller = new Caller(pair.near.open, { closeFd: pair.ledger.close, onClose })
  return { ...pair, caller, onClose }
}

/** A caller whose peer is this test, by hand. */
function withRawPeer() {
  const it = setUp()
  it.far.open({ onData: () => {}, onEnd: () => {}, onDrain: () => {} })
  const answer = (message: object, fds: number[] = []) => {
    it.far.send(encodeMessage(message), fds)
    it.pump()
  }
  return { ...it, answer }
}

function withResponder(onCall: (call: Call) => void) {
  const it = setUp()
  const responder = new Responder(it.far.open, {
    closeFd: it.ledger.close,
    limits: responderLimits,
    turns: atOnce,
    onHeld: () => true,
    onCall,
    onClose: () => it.near.events.onEnd(undefined),
  })
  return { ...it, responder }
}

const outcome = (promise: Promise<unknown>) =>
  promise.then(
    value => ({ value }),
    error => ({ error }),
  )

describe('calls', () => {
  test('pipelined calls get their own replies, errors among them, and their descriptors', async () => {
    const it = withResponder(call => {
      if (call.method === 'a.b.Bad') call.fail('a.b.No', { why: 'so' })
      else call.reply({ for: call.method }, call.method === 'a.b.Fd' ? fds : [])
    })
    const fds = it.ledger.make(1)
    const outcomes = Promise.all(
      ['a.b.One', 'a.b.Bad', 'a.b.Fd', 'a.b.Two'].map(method => outcome(it.caller.call(method, {}))),
    )
    it.pump()
    const error = expect.objectContaining({
      name: 'VarlinkError',
      error: 'a.b.No',
      parameters: { why: 'so' },
    })
    expect(await outcomes).toEqual([
      { value: { parameters: { for: 'a.b.One' }, fds: [] } },
      { error },
      { value: { parameters: { for: 'a.b.Fd' }, fds } },
      { value: { parameters: { for: 'a.b.Two' }, fds: [] } },
    ])
  })

  test.each([
    [{}],
    [{ parameters: null, error: null, continues: null }],
    [{ 'com.example': { trace: '1' } }],
  ])('a reply without parameters: %j', async message => {
    const it = withRawPeer()
    const reply = it.caller.call('a.b.C', {})
    it.answer(message)
    await expect(reply).resolves.toEqual({ parameters: {}, fds: [] })
  })

  test('an error whose parameters are null has none', async () => {
    const it = withRawPeer()
    const failed = outcome(it.caller.call('a.b.C', {}))
    it.answer({ error: 'a.b.No', parameters: null, continues: null })
    expect(await failed).toEqual({ error: expect.objectContaining({ error: 'a.b.No', parameters: {} }) })
  })

  test('a call over the limit is refused here, and the connection goes on', async () => {
    const it = withResponder(call => call.reply({}))
    await expect(it.caller.call('a.b.C', { x: 'x'.repeat(messageBytesMax) })).rejects.toThrow(RangeError)
    const reply = it.caller.call('a.b.C', {})
    it.pump()
    await expect(reply).resolves.toEqual({ parameters: {}, fds: [] })
  })

  test('any mix of calls, answered at once or later, through any cuts, is answered in order', async () => {
    const plan = fc.array(fc.record({ later: fc.boolean(), fails: fc.boolean(), fdCount: fc.nat(3) }), {
      maxLength: 30,
    })
    await fc.assert(
      fc.asyncProperty(
        plan,
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
        async (steps, cuts) => {
          const postponed: Array<() => void> = []
          const it = withResponder(call => {
            const { index } = call.parameters as { index: number }
            const { later, fails, fdCount } = steps[index]!
            const answer = () =>
              fails ? call.fail('a.b.No', { index }) : call.reply({ index }, it.ledger.make(fdCount))
            if (later) postponed.push(answer)
            else answer()
          })
          const outcomes = Promise.all(steps.map((_, index) => outcome(it.caller.call('a.b.C', { index }))))
          let read = 0
          const cut = () => cuts[read++ % cuts.length]!
          for (it.pump(cut); postponed.length > 0; it.pump(cut)) postponed.shift()!()
          const results = await outcomes
          results.forEach((result, index) => {
            const { fails, fdCount } = steps[index]!
            if (fails) expect(result).toMatchObject({ error: { parameters: { index } } })
            else expect(result).toMatchObject({ value: { parameters: { index }, fds: { length: fdCount } } })
            if ('value' in result)
              for (const fd of (result.value as { fds: number[] }).fds) it.ledger.close(fd)
          })
          expect(it.ledger.openCount).toBe(0)
        },
      ),
      { numRuns: 50 },
    )
  })
})

describe('a peer that breaks the rules', () => {
  test.each<[string, object, number]>([
    ['a reply with descriptors that were not asked for', { parameters: {} }, 2],
    ['a reply with descriptors that were not asked for', { error: 'a.b.No' }, 1],
    ['several replies to a call without more', { parameters: {}, continues: true }, 0],
    ['a reply whose error is not a name', { error: 7 }, 0],
    ['a reply whose parameters are not an object', { parameters: [] }, 0],
    ['a reply whose continues is not a boolean', { continues: 1 }, 0],
    ['an error reply that continues', { error: 'a.b.No', continues: true }, 0],
    ['a reply with an unknown member', { parameters: {}, result: 1 }, 0],
  ])('%s: %j', async (reason, message, fdCount) => {
    const it = withRawPeer()
    const waiting = Promise.all([
      outcome(it.caller.call('a.b.C', {}, 1)),
      outcome(it.caller.call('a.b.D', {})),
    ])
    it.answer(message, it.ledger.make(fdCount))
    for (const { error } of (await waiting) as Array<{ error: Error }>) {
      expect(error).toBeInstanceOf(ConnectionLost)
      expect(error.cause).toEqual(new ProtocolViolation(reason))
    }
    expect(it.onClose).toHaveBeenCalledTimes(1)
    expect(it.near.closed).toBe(true)
    expect(it.ledger.openCount).toBe(0)
  })

  test('a reply to no call', () => {
    const it = withRawPeer()
    it.answer({ parameters: {} }, it.ledger.make(1))
    expect(it.onClose.mock.calls).toEqual([[new ProtocolViolation('a reply to no call')]])
    expect(it.ledger.openCount).toBe(0)
  })
})

describe('the end of the connection', () => {
  test('rejects what waits and what comes later', async () => {
    const it = withRawPeer()
    const waiting = outcome(it.caller.call('a.b.C', {}))
    const cause = new Error('ECONNRESET')
    it.near.events.onEnd(cause)
    expect(await waiting).toEqual({ error: new ConnectionLost(cause) })
    await expect(it.caller.call('a.b.C', {})).rejects.toThrow(ConnectionLost)
    await expect(it.caller.stream('a.b.C', {}).next()).rejects.toThrow(ConnectionLost)
    expect(it.onClose.mock.calls).toEqual([[cause]])
    it.caller.close()
    expect(it.onClose).toHaveBeenCalledTimes(1)
  })
})

test('close() closes the descriptors of a reply that was not complete', async () => {
  const it = withRawPeer()
  const waiting = outcome(it.caller.call('a.b.C', {}))
  it.far.send(Buffer.from('{"parameters"'), it.ledger.make(2))
  it.pump()
  expect(it.ledger.openCount).toBe(2)
  it.caller.close()
  expect(it.ledger.openCount).toBe(0)
  expect(await waiting).toEqual({ error: new ConnectionLost(undefined) })
})

describe('streams', () => {
  test('give every reply with its descriptors, then end; the connection goes on', async () => {
    const it = withResponder(call => {
      if (call.more) for (let n = 0; n < 3; n++) call.replyMore({ n }, it.ledger.make(1))
      call.reply({ n: 3 })
    })
    const stream = it.caller.stream('a.b.C', {})
    const next = it.caller.call('a.b.C', {})
    it.pump()
    const got: unknown[] = []
    for await (const { parameters, fds } of stream) {
      got.push(parameters.n)
      for (const fd of fds) it.ledger.close(fd)
    }
    expect(got).toEqual([0, 1, 2, 3])
    expect(await next).toEqual({ parameters: { n: 3 }, fds: [] })
    expect(it.ledger.openCount).toBe(0)
    expect(it.onClose).not.toHaveBeenCalled()
  })

  test('an error reply comes after the replies before it, and once', async () => {
    const it = withResponder(call => {
      call.replyMore({ n: 0 })
      call.fail('a.b.No')
    })
    const stream = it.caller.stream('a.b.C', {})
    it.pump()
    expect(await stream.next()).toMatchObject({ value: { parameters: { n: 0 } } })
    await expect(stream.next()).rejects.toThrow(VarlinkError)
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  })

  test('a reader that waits is served as replies come, and learns of the end', async () => {
    const it = withRawPeer()
    const stream = it.caller.stream('a.b.C', {})
    const reads = [stream.next(), stream.next(), outcome(stream.next()), stream.next()] as const
    it.answer({ parameters: { n: 0 }, continues: true })
    it.answer({ parameters: { n: 1 }, continues: true })
    expect(await reads[0]).toMatchObject({ value: { parameters: { n: 0 } } })
    expect(await reads[1]).toMatchObject({ value: { parameters: { n: 1 } } })
    it.near.events.onEnd(undefined)
    expect(await reads[2]).toEqual({ error: new ConnectionLost(undefined) })
    expect(await reads[3]).toEqual({ done: true, value: undefined })
  })

  test('leaving one early closes the connection and the descriptors nobody took', async () => {
    const it = withResponder(call => {
      for (let n = 0; n < 5; n++) call.replyMore({ n }, it.ledger.make(1))
    })
    const stream = it.caller.stream('a.b.C', {})
    const other = outcome(it.caller.call('a.b.C', {}))
    it.pump()
    for await (const { fds } of stream) {
      for (const fd of fds) it.ledger.close(fd)
      break
    }
    expect(it.near.closed).toBe(true)
    expect(it.ledger.openCount).toBe(0)
    expect(await other).toEqual({ error: new ConnectionLost(undefined) })
  })

  test('leaving one after its last reply keeps the connection, and closes what nobody took', async () => {
    const it = withResponder(call => {
      call.replyMore({}, it.ledger.make(2))
      call.reply({}, it.ledger.make(2))
    })
    const stream = it.caller.stream('a.b.C', {})
    it.pump()
    await stream.return!()
    expect(it.near.closed).toBe(false)
    expect(it.ledger.openCount).toBe(0)
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  })

  test('a slow reader stops the connection from being read, and what comes meanwhile is bounded', async () => {
    const total = 10 * streamRepliesMax
    const it = withResponder(call => {
      for (let n = 1; n < total; n++) call.replyMore({ n })
      call.reply({ n: total })
    })
    const stream = it.caller.stream('a.b.C', {})
    it.pump(() => 100)
    expect(it.near.paused).toBe(true)
    expect(it.far.queuedBytes).toBeGreaterThan(0)
    let taken = 0
    for await (const { parameters } of stream) {
      expect(parameters.n).toBe(++taken)
      it.pump(() => 100)
    }
    expect(taken).toBe(total)
    expect(it.near.paused).toBe(false)
  })

  test('replies nobody takes do not hold up the calls after a finished stream', async () => {
    const it = withResponder(call => {
      if (call.more) for (let n = 0; n < 2 * streamRepliesMax; n++) call.replyMore({ n })
      call.reply({})
    })
    it.caller.stream('a.b.C', {})
    it.pump()
    const next = it.caller.call('a.b.C', {})
    it.pump()
    await settle()
    await expect(next).resolves.toEqual({ parameters: {}, fds: [] })
  })
})
