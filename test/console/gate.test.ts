// Proves that nobody gets past the console's door but a page of its own with the token: each way in that a local user or
// a foreign web site could try is tried with plain bytes, gets its refusal, and costs the broker and its clients nothing.
import { createHash } from 'node:crypto'
import { leaksNothing } from '../support/leaks-nothing'
import { type TestBroker, until } from '../support/test-broker'
import { consoleOf, startConsoleBroker } from './support/console-broker'
import { PageClient } from './support/page-client'
import { RawHttp, request } from './support/raw-http'

let broker: TestBroker
let host: string
let port: number
let token: string
beforeAll(async () => {
  broker = await startConsoleBroker()
  const opened = await consoleOf(broker)
  host = opened.host
  port = opened.port
  token = opened.token
})
afterAll(() => broker.dispose())

const handshake = (changes: Record<string, string | undefined> = {}, line = 'GET /socket HTTP/1.1') => {
  const headers: Record<string, string | undefined> = {
    Host: host,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    Origin: `http://${host}`,
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol': `membroker, membroker.token.${token}`,
    ...changes,
  }
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  )
  return [line, ...lines]
}

test('the handshake that the others are variations of is let in, and says nothing of the token', () =>
  leaksNothing(broker, async () => {
    const peer = new RawHttp(port)
    peer.send(`${handshake().join('\r\n')}\r\n\r\n`)
    await until(() => peer.status !== undefined, 'an answer')
    expect(peer.status).toBe(101)
    expect(peer.header('sec-websocket-protocol')).toBe('membroker')
    expect(peer.header('sec-websocket-extensions')).toBeUndefined()
    expect(peer.received.toString()).not.toContain(token)
    peer.destroy()
  }))

const flipped = (text: string) => (text.startsWith('A') ? 'B' : 'A') + text.slice(1)

describe('a handshake', () => {
  const variations: [string, number, () => string[]][] = [
    ['no token', 401, () => handshake({ 'Sec-WebSocket-Protocol': 'membroker' })],
    ['no subprotocol', 401, () => handshake({ 'Sec-WebSocket-Protocol': undefined })],
    [
      'a wrong token',
      401,
      () => handshake({ 'Sec-WebSocket-Protocol': `membroker, membroker.token.${flipped(token)}` }),
    ],
    [
      'a token cut short',
      401,
      () => handshake({ 'Sec-WebSocket-Protocol': `membroker, membroker.token.${token.slice(0, -1)}` }),
    ],
    [
      'a token with more behind it',
      401,
      () => handshake({ 'Sec-WebSocket-Protocol': `membroker, membroker.token.${token}A` }),
    ],
    ['an empty token', 401, () => handshake({ 'Sec-WebSocket-Protocol': 'membroker, membroker.token.' })],
    [
      'a wrong token before the right one',
      401,
      () =>
        handshake({
          'Sec-WebSocket-Protocol': `membroker, membroker.token.${flipped(token)}, membroker.token.${token}`,
        }),
    ],
    ['the token alone', 400, () => handshake({ 'Sec-WebSocket-Protocol': `membroker.token.${token}` })],
    [
      'the token in another place',
      401,
      () => handshake({ 'Sec-WebSocket-Protocol': 'membroker', Authorization: `Bearer ${token}` }),
    ],
    [
      'the token in the path',
      404,
      () => handshake({ 'Sec-WebSocket-Protocol': 'membroker' }, `GET /socket?token=${token} HTTP/1.1`),
    ],
    ['no Origin', 403, () => handshake({ Origin: undefined })],
    ['a foreign Origin', 403, () => handshake({ Origin: 'https://example.org' })],
    ['Origin null (a sandboxed frame, a file)', 403, () => handshake({ Origin: 'null' })],
    ['another port of this host as Origin', 403, () => handshake({ Origin: 'http://127.0.0.1:1' })],
    ['https as Origin', 403, () => handshake({ Origin: `https://${host}` })],
    ['an Origin that begins like ours', 403, () => handshake({ Origin: `http://${host}.example.org` })],
    ['two Origins', 403, () => [...handshake(), 'Origin: https://example.org']],
    [
      'an allowed Host and another allowed one as Origin',
      403,
      () => handshake({ Origin: `http://localhost:${port}` }),
    ],
    [
      'a foreign Host, as after DNS rebinding',
      421,
      () => handshake({ Host: 'example.org', Origin: 'http://example.org' }),
    ],
    [
      'a foreign Host with our port',
      421,
      () => handshake({ Host: `example.org:${port}`, Origin: `http://example.org:${port}` }),
    ],
    ['our Host without the port', 421, () => handshake({ Host: '127.0.0.1', Origin: 'http://127.0.0.1' })],
    [
      'Host in other words',
      421,
      () => handshake({ Host: `2130706433:${port}`, Origin: `http://2130706433:${port}` }),
    ],
    ['two Hosts', 421, () => [...handshake(), 'Host: example.org']],
    ['another path', 404, () => handshake({}, 'GET / HTTP/1.1')],
    ['a path that leads back', 404, () => handshake({}, 'GET /x/../socket HTTP/1.1')],
    ['an absolute address', 404, () => handshake({}, `GET http://example.org/socket HTTP/1.1`)],
    ['POST', 405, () => handshake({}, 'POST /socket HTTP/1.1')],
    ['another protocol to upgrade to', 400, () => handshake({ Upgrade: 'h2c' })],
    ['another version', 400, () => handshake({ 'Sec-WebSocket-Version': '99' })],
    ['no key', 400, () => handshake({ 'Sec-WebSocket-Key': undefined })],
    [
      'the subprotocol twice',
      400,
      () => handshake({ 'Sec-WebSocket-Protocol': `membroker, membroker, membroker.token.${token}` }),
    ],
  ]
  test.each(variations)('with %s is answered by %d', (_, status, lines) =>
    leaksNothing(broker, async () => {
      const peer = await request(port, lines())
      expect(peer.status).toBe(status)
      expect(peer.received.toString()).not.toContain(token)
    }),
  )
})

describe('a request', () => {
  const get = (path: string, ...headers: string[]) => [`GET ${path} HTTP/1.1`, `Host: ${host}`, ...headers]
  const variations: [string, number, () => string[]][] = [
    ['of the metrics without a token', 401, () => get('/metrics')],
    [
      'of the metrics with a wrong token',
      401,
      () => get('/metrics', `Authorization: Bearer ${flipped(token)}`),
    ],
    [
      'of the metrics with a token cut short',
      401,
      () => get('/metrics', `Authorization: Bearer ${token.slice(1)}`),
    ],
    [
      'of the metrics with the token as a password',
      401,
      () => get('/metrics', `Authorization: Basic ${token}`),
    ],
    ['of the metrics with the token in the address', 404, () => get(`/metrics?token=${token}`)],
    ['of the page by a foreign name', 421, () => ['GET / HTTP/1.1', 'Host: example.org']],
    [
      'of the metrics by a foreign name',
      421,
      () => ['GET /metrics HTTP/1.1', 'Host: example.org', `Authorization: Bearer ${token}`],
    ],
    ['without a Host', 400, () => ['GET / HTTP/1.1']],
    ['of HTTP/1.0 without a Host', 421, () => ['GET / HTTP/1.0']],
    ['of the socket without an upgrade', 404, () => get('/socket')],
    ['of another path', 404, () => get('/favicon.ico')],
    ['of a path outside', 404, () => get('/../../etc/passwd')],
    ['of an encoded path outside', 404, () => get('/%2e%2e/%2e%2e/etc/passwd')],
    [
      'as a simple POST of a foreign site',
      405,
      () => [
        'POST / HTTP/1.1',
        `Host: ${host}`,
        'Origin: https://example.org',
        'Content-Type: text/plain',
        'Content-Length: 0',
      ],
    ],
    ['to write', 405, () => ['PUT / HTTP/1.1', `Host: ${host}`, 'Content-Length: 0']],
    ['to remove', 405, () => ['DELETE /metrics HTTP/1.1', `Host: ${host}`]],
    [
      'of permission for a foreign site',
      405,
      () => [
        'OPTIONS /metrics HTTP/1.1',
        `Host: ${host}`,
        'Origin: https://example.org',
        'Access-Control-Request-Method: GET',
      ],
    ],
    ['with a header too large', 431, () => get('/', `X: ${'x'.repeat(9000)}`)],
    ['that is none', 400, () => ['{"method":"io.membroker.Broker.GetStatus"}\0']],
    ['with two lengths', 400, () => get('/', 'Content-Length: 0', 'Content-Length: 5')],
  ]
  test.each(variations)('%s is answered by %d', (_, status, lines) =>
    leaksNothing(broker, async () => {
      const peer = await request(port, lines())
      expect(peer.status).toBe(status)
      expect(peer.header('access-control-allow-origin')).toBeUndefined()
      expect(peer.received.toString()).not.toContain(token)
    }),
  )

  test('to be a proxy ends without an answer', () =>
    leaksNothing(broker, async () => {
      const peer = await request(port, ['CONNECT example.org:80 HTTP/1.1', 'Host: example.org:80'])
      expect(peer.received).toHaveLength(0)
    }))
})

test('every answer forbids browsers to frame it, to guess its type, to keep it and to name it to others', async () => {
  for (const path of ['/', '/metrics', '/nowhere']) {
    const peer = await request(port, [`GET ${path} HTTP/1.1`, `Host: ${host}`])
    expect(peer.header('content-security-policy')).toMatch(
      /^default-src 'none'; .*base-uri 'none'; form-action 'none'; frame-ancestors 'none'$|^default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
    )
    expect(peer.header('x-content-type-options')).toBe('nosniff')
    expect(peer.header('referrer-policy')).toBe('no-referrer')
    expect(peer.header('cross-origin-opener-policy')).toBe('same-origin')
    expect(peer.header('cross-origin-resource-policy')).toBe('same-origin')
    expect(peer.header('cache-control')).toBe('no-store')
  }
})

test('the page may run what is in it, talk to the broker it came from, and nothing else', async () => {
  const peer = await request(port, ['GET / HTTP/1.1', `Host: ${host}`])
  expect(peer.status).toBe(200)
  const hashOf = (element: string) => {
    const blocks = peer.body.split(`<${element}>`).slice(1)
    expect(blocks).toHaveLength(1)
    const [text] = blocks[0]!.split(`</${element}>`)
    return `'sha256-${createHash('sha256').update(text!).digest('base64')}'`
  }
  expect(peer.header('content-security-policy')).toBe(
    [
      "default-src 'none'",
      `script-src ${hashOf('script')}`,
      `style-src ${hashOf('style')}`,
      `connect-src 'self' ws://${host}`,
      'img-src data:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
  )
  expect(peer.body).not.toMatch(/<(script|link|img|iframe)[^>]* src=/)
})

test('a request that never ends is ended, whether by its head or by its body', () =>
  leaksNothing(broker, async () => {
    const head = new RawHttp(port)
    head.send(`GET / HTTP/1.1\r\nHost: ${host}\r\nX: `)
    const drip = setInterval(() => head.send('x'), 100)
    const body = new RawHttp(port)
    body.send(`GET / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 100\r\n\r\n`)
    const silent = new RawHttp(port)
    await Promise.all([head.ended(), body.ended(), silent.ended()])
    clearInterval(drip)
  }))

test('however many connections say nothing, one that has something to say is answered', () =>
  leaksNothing(broker, async () => {
    const silent = Array.from({ length: 300 }, () => new RawHttp(port))
    const viewer = await PageClient.connect({ host, token })
    expect((await viewer.call('GetStatus', {})).pid).toBe(broker.pid)
    const peer = await request(port, [
      'GET /metrics HTTP/1.1',
      `Host: ${host}`,
      `Authorization: Bearer ${token}`,
    ])
    expect(peer.status).toBe(200)
    expect((await viewer.call('GetStatus', {})).pid).toBe(broker.pid)
    for (const { socket } of silent) socket.destroy()
    await viewer.close()
  }))

test('the token is in no line of the log', () => {
  expect(broker.log).toContain('the console has turned requests away')
  expect(broker.log).not.toContain(token)
})
