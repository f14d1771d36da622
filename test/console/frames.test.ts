// Proves that a viewer which breaks the rules of WebSockets or of the protocol, floods, or does not read, costs itself
// its connection at most: other viewers and clients are answered as before, and the broker keeps nothing of it.
import { leaksNothing } from '../support/leaks-nothing'
import { type TestBroker, until } from '../support/test-broker'
import { consoleOf, startConsoleBroker } from './support/console-broker'
import { PageClient } from './support/page-client'
import { frame, opcode, RawWebSocket } from './support/raw-web-socket'

let broker: TestBroker
let opened: { host: string; port: number; token: string }
beforeAll(async () => {
  broker = await startConsoleBroker({ console: 'viewers_max = 8' })
  opened = await consoleOf(broker)
})
afterAll(() => broker.dispose())

const getStatus = '{"method":"io.membroker.Broker.GetStatus"}'
const watch = '{"method":"io.membroker.Broker.Watch","more":true}'

/** Another viewer is there before, during and after. */
function beside(attack: (peer: RawWebSocket) => Promise<void>): Promise<void> {
  return leaksNothing(broker, async () => {
    const viewer = await PageClient.connect(opened)
    const peer = await RawWebSocket.open(opened)
    try {
      await attack(peer)
      expect((await viewer.call('GetStatus', {})).pid).toBe(broker.pid)
    } finally {
      peer.destroy()
      await viewer.close()
    }
  })
}

describe('the connection ends after', () => {
  const ends: [string, number, (peer: RawWebSocket) => void][] = [
    ['a frame longer than a message may be', 1009, peer => peer.frame(opcode.text, 'x'.repeat(65537))],
    [
      'the announcement of a giant frame',
      1009,
      peer => peer.send(Buffer.from([0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0])),
    ],
    [
      'the announcement of one of 2^63 bytes',
      1009,
      peer => peer.send(Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0])),
    ],
    [
      'fragments that are too long together',
      1009,
      peer => {
        peer.frame(opcode.text, 'x'.repeat(40000), { last: false })
        peer.frame(opcode.continuation, 'x'.repeat(40000), { last: false })
      },
    ],
    [
      'fragments without end',
      1008,
      peer => {
        peer.frame(opcode.text, '', { last: false })
        peer.send(
          Buffer.concat(Array.from({ length: 20000 }, () => frame(opcode.continuation, '', { last: false }))),
        )
      },
    ],
    ['a binary frame', 1008, peer => peer.frame(opcode.binary, getStatus)],
    ['a NUL byte', 1008, peer => peer.frame(opcode.text, `${getStatus}\0${getStatus}`)],
    ['an empty frame', 1008, peer => peer.frame(opcode.text)],
    ['no JSON', 1008, peer => peer.frame(opcode.text, 'GET / HTTP/1.1\r\n\r\n')],
    ['JSON that is nested too deep', 1008, peer => peer.frame(opcode.text, '['.repeat(60000))],
    ['no UTF-8', 1007, peer => peer.frame(opcode.text, Buffer.from([0xff, 0xfe]))],
    ['a call with an unknown member', 1008, peer => peer.frame(opcode.text, '{"method":"x","token":"y"}')],
    ['an unmasked frame', 1002, peer => peer.frame(opcode.text, getStatus, { masked: false })],
    ['a reserved kind of frame', 1002, peer => peer.frame(3, getStatus)],
    ['a compressed frame', 1002, peer => peer.send(Buffer.from([0xc1, 0x80, 0, 0, 0, 0]))],
    ['a continuation of nothing', 1002, peer => peer.frame(opcode.continuation, getStatus)],
    ['a long ping', 1002, peer => peer.frame(opcode.ping, 'x'.repeat(126))],
  ]
  test.each(ends)('%s, with code %d', (_, code, attack) =>
    beside(async peer => {
      attack(peer)
      await peer.ended()
      expect(peer.closeCode).toBe(code)
    }),
  )
})

test('a flood of calls is answered in order, and another viewer in between', () =>
  beside(async peer => {
    const calls = 5000
    peer.send(Buffer.concat(Array.from({ length: calls }, () => frame(opcode.text, getStatus))))
    const other = await PageClient.connect(opened)
    await other.call('GetStatus', {})
    await until(() => count(peer.received, '"parameters"') === calls, 'every answer')
    await other.close()
  }))

test('a flood of pings whose answers nobody reads ends the connection before answers pile up', () =>
  beside(async peer => {
    peer.socket.pause()
    const pings = Buffer.concat(Array.from({ length: 10000 }, () => frame(opcode.ping, 'x'.repeat(125))))
    // More than the buffers of two sockets hold.
    for (let round = 0; round < 40; round++) peer.send(pings)
    await until(() => peer.socket.writableLength === 0 || peer.closed, 'the pings are taken, or refused')
    peer.socket.resume()
    await peer.ended()
    expect(peer.received.length).toBeLessThan((40 * pings.length) / 2)
  }))

test('a viewer that never reads is dropped, and what waited for it is forgotten', () =>
  leaksNothing(broker, async () => {
    const names = Array.from({ length: 300 }, (_, index) => `deaf/${index}`)
    const client = broker.client()
    const metadata = { note: 'x'.repeat(3000) }
    for (const name of names) await client.call('Allocate', { name, bytes: 4096, metadata })
    const peer = await RawWebSocket.open(opened)
    peer.socket.pause()
    const list = '{"method":"io.membroker.Broker.ListAllocations"}'
    peer.send(Buffer.concat(Array.from({ length: 200 }, () => frame(opcode.text, list))))
    peer.frame(opcode.text, watch)
    await until(() => broker.log.includes('a viewer does not read its replies and is dropped'), 'its end')
    peer.destroy()
    for (const name of names) await client.call('Release', { name })
  }))

test('a viewer that sends more calls than are answered, and answers no ping, is dropped for its calls', () =>
  beside(async peer => {
    // The first is never answered in full, so that the others wait behind it, and the broker reads no more.
    peer.send(
      Buffer.concat([watch, ...new Array(2000).fill(getStatus)].map(call => frame(opcode.text, call))),
    )
    await peer.ended()
    expect(broker.log).toContain('a viewer has too many calls waiting and is dropped')
  }))

test('of more viewers than the configuration allows the last is turned away, until one has left', () =>
  leaksNothing(broker, async () => {
    const viewers = await Promise.all(Array.from({ length: 8 }, () => PageClient.connect(opened)))
    await expect(PageClient.connect(opened)).rejects.toThrow('turned away: 503')
    for (const viewer of viewers) expect((await viewer.call('GetStatus', {})).pid).toBe(broker.pid)
    await viewers[0]!.close()
    await until(async () => (await status()).clients === 8, 'it has left')
    const next = await PageClient.connect(opened)
    await Promise.all([next, ...viewers.slice(1)].map(viewer => viewer.close()))
  }))

test('a viewer cut off in the middle of a stream leaves nothing', () =>
  leaksNothing(broker, async () => {
    for (let round = 0; round < 20; round++) {
      const peer = await RawWebSocket.open(opened)
      peer.frame(opcode.text, watch)
      await until(() => peer.received.includes('snapshotEnd'), 'the snapshot')
      if (round % 2 === 0) peer.socket.resetAndDestroy()
      else peer.destroy()
    }
  }))

async function status() {
  const client = broker.client()
  const out = await client.call('GetStatus', {})
  client.close()
  return out
}

function count(bytes: Buffer, text: string): number {
  return bytes.toString('latin1').split(text).length - 1
}
