// Proves that the reader finds the same messages however the stream is cut, gives each its own descriptors, holds no
// more than its limit, and ends with each descriptor owned exactly once: by a message, or closed.
import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { fdsPerMessageMax, nestingMax } from '../../../protocol/wire/limits'
import { encodeMessage, type Message, MessageReader, ProtocolViolation } from '../../../protocol/wire/message'
import { channelPair, FdLedger } from './memory-channel'

function reader(options: { bytesMax?: number; fdsMax?: number } = {}) {
  const ledger = new FdLedger()
  const messages: Message[] = []
  const made = new MessageReader({ bytesMax: 1000, fdsMax: 4, ...options, closeFd: ledger.close })
  const push = (bytes: Buffer | string, fds: number[] = []) =>
    made.push(Buffer.from(bytes as string), fds, message => messages.push(message))
  return { ledger, messages, push, reader: made }
}

const violation = (act: () => void): string => {
  try {
    act()
  } catch (error) {
    if (error instanceof ProtocolViolation) return error.reason
    throw error
  }
  return 'none'
}

describe('framing', () => {
  test('a message in one chunk, several in one chunk, one over many chunks', () => {
    const { push, messages } = reader()
    push('{"a":1}\0{"b":2}\0{"c"')
    push(':')
    push('3}')
    expect(messages.map(({ value }) => value)).toEqual([{ a: 1 }, { b: 2 }])
    push('\0')
    expect(messages[2]).toEqual({ value: { c: 3 }, fds: [] })
  })

  test('an empty read changes nothing', () => {
    const { push, messages } = reader()
    push('{"a"')
    push('')
    push(':1}\0')
    expect(messages).toHaveLength(1)
  })

  test.each([
    ['empty message', '\0'],
    ['empty message', '{"a":1}\0\0'],
    ['message is not valid JSON', '{"a":}\0'],
    ['message is not valid JSON', '\ufeff{}\0'],
    ['message is not valid JSON', '{} {}\0'],
    ['message is not a JSON object', '[]\0'],
    ['message is not a JSON object', 'null\0'],
    ['message is not a JSON object', '"text"\0'],
    ['message is not a JSON object', '7\0'],
    ['message has a string that is not valid Unicode', '{"name":"\\ud800"}\0'],
    ['message has a string that is not valid Unicode', '{"a":[{"\\uDFFF":1}]}\0'],
    ['message has a string that is not valid Unicode', '{"name":"\\udc00\\ud800"}\0'],
  ])('%s: %j', (reason, text) => {
    const { push } = reader()
    expect(violation(() => push(text))).toBe(reason)
  })

  test.each([
    ['a stray continuation byte', [0x80]],
    ['a cut sequence', [0xe2, 0x82]],
    ['an overlong NUL', [0xc0, 0x80]],
    ['an encoded surrogate', [0xed, 0xa0, 0x80]],
    ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ])('invalid UTF-8 is refused: %s', (_, sequence) => {
    const { push } = reader()
    const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.from(sequence), Buffer.from('"}\0')])
    expect(violation(() => push(bytes))).toBe('message is not valid UTF-8')
  })

  test('text that is unusual and valid comes through, the replacement character and escaped pairs too', () => {
    const { push, messages } = reader()
    const value = { a: '\ufffd', b: '😀', c: '\u0000\u001f', d: 'ä' }
    push(encodeMessage(value))
    push('{"e":"\\ud83d\\ude00"}\0')
    expect(messages.map(message => message.value)).toEqual([value, { e: '😀' }])
  })

  test('nesting up to the limit is read, beyond it refused; brackets in strings do not count', () => {
    const nested = (depth: number) =>
      `{"a":${'['.repeat(depth - 1)}"${'[{\\"['.repeat(50)}"${']'.repeat(depth - 1)}}\0`
    const { push, messages } = reader()
    push(nested(nestingMax))
    expect(messages).toHaveLength(1)
    expect(violation(() => push(nested(nestingMax + 1)))).toBe(`message nested deeper than ${nestingMax}`)
  })

  test('a megabyte of opening brackets is refused without overflowing anything', () => {
    const { push } = reader({ bytesMax: 1 << 20 })
    expect(violation(() => push(`${'['.repeat(1 << 20)}\0`))).toBe(`message nested deeper than ${nestingMax}`)
  })

  test('keys that name prototypes stay data', () => {
    const { push, messages } = reader()
    push('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}\0')
    const value = messages[0]!.value
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    expect(value.polluted).toBeUndefined()
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor'])
  })
})

describe('the length limit', () => {
  const exactly = (bytes: number) => `{"a":"${'x'.repeat(bytes - 8)}"}`

  test.each([1, 7, 100, 2000])('holds to the byte, in chunks of %d', chunk => {
    for (const [length, expected] of [
      [1000, 'none'],
      [1001, 'message longer than 1000 bytes'],
    ] as const) {
      const { push } = reader()
      const bytes = Buffer.from(`${exactly(length)}\0`)
      const act = () => {
        for (let at = 0; at < bytes.length; at += chunk) push(bytes.subarray(at, at + chunk))
      }
      expect(violation(act)).toBe(expected)
    }
  })

  test('is applied before the NUL comes, and counts each message for itself', () => {
    const { push } = reader()
    push(`${exactly(900)}\0${exactly(900)}`)
    expect(violation(() => push('x'.repeat(101)))).toBe('message longer than 1000 bytes')
  })

  test('single bytes do not make the reader hold more than about twice the message', () => {
    const bytesMax = 1 << 18
    const { reader: made } = reader({ bytesMax })
    global.gc?.()
    const before = process.memoryUsage().arrayBuffers
    const byte = Buffer.from('x')
    for (let count = 0; count < bytesMax; count++) made.push(byte, [], () => {})
    global.gc?.()
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * bytesMax)
  })
})

describe('descriptors', () => {
  test('belong to the last message that begins in their read', () => {
    const { push, messages, ledger } = reader()
    const [first, second, third] = [ledger.make(1), ledger.make(2), ledger.make(1)]
    push('{"a":1}\0', first)
    push('{"b":1}\0{"c":1}\0', second)
    push('{"d":1}\0{"e"', third)
    push(':1}\0')
    expect(messages.map(({ value, fds }) => [Object.keys(value)[0], fds])).toEqual([
      ['a', first],
      ['b', []],
      ['c', second],
      ['d', []],
      ['e', third],
    ])
  })

  test('a read that ends a message and begins the next gives them to the next', () => {
    const { push, messages, ledger } = reader()
    push('{"a"')
    const fds = ledger.make(1)
    push(':1}\0{', fds)
    push('}\0')
    expect(messages.map(message => message.fds)).toEqual([[], fds])
  })

  test.each([
    ['in the middle of a message', ['{"a"', ':1}'], 'descriptors not sent with the first byte of a message'],
    ['with its last byte', ['{}', '\0'], 'descriptors not sent with the first byte of a message'],
    ['with nothing', [''], 'descriptors not sent with the first byte of a message'],
  ])('%s are refused and closed', (_, chunks, reason) => {
    const { push, ledger } = reader()
    for (const chunk of chunks.slice(0, -1)) push(chunk, ledger.openCount === 0 ? ledger.make(1) : [])
    expect(violation(() => push(chunks.at(-1)!, ledger.make(1)))).toBe(reason)
    expect(ledger.openCount).toBe(0)
  })

  test('more than the limit are refused and closed', () => {
    const { push, ledger } = reader({ fdsMax: fdsPerMessageMax })
    push('{}\0', ledger.make(fdsPerMessageMax))
    expect(ledger.openCount).toBe(fdsPerMessageMax)
    expect(violation(() => push('{}\0', ledger.make(fdsPerMessageMax + 1)))).toMatch(/129 descriptors/)
    expect(ledger.openCount).toBe(fdsPerMessageMax)
  })

  test('of a message that turns out bad, of an incomplete one, and after the end, are closed', () => {
    for (const bad of ['{"a":}\0', '[]\0', '\0']) {
      const { push, ledger } = reader()
      expect(violation(() => push(bad, ledger.make(2)))).not.toBe('none')
      expect(ledger.openCount).toBe(0)
    }
    const { push, ledger, reader: made, messages } = reader()
    push('{"a"', ledger.make(2))
    made.dispose()
    made.dispose()
    push('{}\0', ledger.make(1))
    expect(ledger.openCount).toBe(0)
    expect(messages).toHaveLength(0)
  })

  test('are closed when the callback throws or disposes before their message', () => {
    for (const act of ['throw', 'dispose'] as const) {
      const ledger = new FdLedger()
      const made = new MessageReader({ bytesMax: 100, fdsMax: 4, closeFd: ledger.close })
      const onMessage = jest.fn(() => {
        if (act === 'throw') throw new Error('ours')
        made.dispose()
      })
      const push = () => made.push(Buffer.from('{}\0{}\0{}\0'), ledger.make(3), onMessage)
      if (act === 'throw') expect(push).toThrow('ours')
      else push()
      expect(onMessage).toHaveBeenCalledTimes(1)
      expect(ledger.openCount).toBe(0)
    }
  })
})

const sentMessage = fc.record({
  value: fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 3 })),
  fdCount: fc.integer({ min: 0, max: 3 }),
})

test('any way the kernel may cut the stream yields the same messages with the same descriptors', () => {
  fc.assert(
    fc.property(
      fc.array(sentMessage),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      (sent, cuts) => {
        const { ledger, near, far } = channelPair()
        const received: Message[] = []
        const made = new MessageReader({ bytesMax: 1 << 20, fdsMax: 3, closeFd: ledger.close })
        near.open({ onData: () => {}, onEnd: () => {}, onDrain: () => {} })
        far.open({
          onData: (bytes, fds) => made.push(bytes, fds, message => received.push(message)),
          onEnd: () => {},
          onDrain: () => {},
        })
        const expected = sent.map(({ value, fdCount }) => {
          const fds = ledger.make(fdCount)
          near.send(encodeMessage(value), fds)
          return { value: JSON.parse(JSON.stringify(value)), fds }
        })
        for (let read = 0; near.deliver(cuts[read % cuts.length]!); read++);
        expect(received).toEqual(expected)
        for (const { fds } of received) for (const fd of fds) ledger.close(fd)
        expect(ledger.openCount).toBe(0)
      },
    ),
  )
})

test('whatever bytes and descriptors come, each descriptor is handed over or closed exactly once', () => {
  const piece = fc.oneof(
    fc.constantFrom('{}\0', '{"a":1}\0', '{"a', '":1}\0', '\0', '[]\0', '', '{"a":"\\ud800"}\0'),
    fc.string(),
  )
  const reads = fc.array(fc.record({ text: piece, fdCount: fc.integer({ min: 0, max: 5 }) }), {
    maxLength: 12,
  })
  fc.assert(
    fc.property(reads, fc.option(fc.nat(12)), (parts, disposeAt) => {
      const { push, messages, ledger, reader: made } = reader({ bytesMax: 40, fdsMax: 4 })
      parts.forEach(({ text, fdCount }, index) => {
        if (index === disposeAt) made.dispose()
        violation(() => push(text, ledger.make(fdCount)))
      })
      made.dispose()
      for (const { fds } of messages) for (const fd of fds) ledger.close(fd)
      expect(ledger.openCount).toBe(0)
    }),
  )
})
