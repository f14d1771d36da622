// Proves that nobody gets past the console's door but a page of its own with the token: each way in that a local user or
// a foreign web site could try is tried with plain bytes, gets its refusal, and costs the broker and its clients nothing.
import { createHash, randomBytes } from 'node:crypto'
import { leaksNothing } from '../support/leaks-nothing'
import { type TestBroker, until } from '../support/test-broker'
import { consoleOf, metricsTokenOf, startConsoleBroker } from './support/console-broker'
import { PageClient } from './support/page-client'
import { proofOf, prove } from './support/prove'
import { RawHttp, request } from './support/raw-http'

let broker: TestBroker
let host: string
let port: number
let token: string
let metricsToken: string
let proof: string
beforeAll(async () => {
  broker = await startConsoleBroker()
  const opened = await consoleOf(broker)
  host = opened.host
  port = opened.port
  token = opened.token
  metricsToken = metricsTokenOf(broker)
})
afterAll(() => broker.dispose())

/** A fresh one. */
const withProof = (body: () => Promise<void>) =>
  leaksNothing(broker, async () => {
    proof = await prove({ host, token })
    await body()
  })

const handshake = (changes: Record<string, string | undefined> = {}, line = 'GET /socket HTTP/1.1') => {
  const headers: Record<string, string | undefined> = {
    Host: host,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    Origin: `http://${host}`,
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol': `membroker, membroker.proof.${proof}`,
    ...changes,
  }
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  )
  return [line, ...lines]
}

test('the handshake that the others are variations of is let in, and says nothing of the token', () =>
  withProof(async () => {
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
  const offer = (protocols: string) => handshake({ 'Sec-WebSocket-Protocol': protocols })
  const wrong = () => proofOf(proof.slice(0, 72), flipped(token))
  const asking = () => proofOf(proof.slice(0, 72), token, 'asking')
  const invented = () => proofOf(randomBytes(54).toString('base64url'), token)
  const mixed = () => `${proof.slice(0, 72)}.${proofOf('A'.repeat(72), token).slice(73)}`
  const younger = (nonce: string) => {
    const bytes = Buffer.from(nonce, 'base64url')
    bytes[5]! ^= 1
    return bytes.toString('base64url')
  }
  const variations: [string, number, () => string[]][] = [
    ['no proof', 401, () => offer('membroker')],
    ['the token itself', 401, () => offer(`membroker, membroker.token.${token}`)],
    ['the token for a proof', 401, () => offer(`membroker, membroker.proof.${token}`)],
    ['no subprotocol', 401, () => handshake({ 'Sec-WebSocket-Protocol': undefined })],
    ['a wrong proof', 401, () => offer(`membroker, membroker.proof.${wrong()}`)],
    ['a proof cut short', 401, () => offer(`membroker, membroker.proof.${proof.slice(0, -1)}`)],
    ['a proof with more behind it', 401, () => offer(`membroker, membroker.proof.${proof}A`)],
    [
      'a proof with a letter that is none',
      401,
      () => offer(`membroker, membroker.proof.${proof.slice(0, -1)}+`),
    ],
    ['an empty proof', 401, () => offer('membroker, membroker.proof.')],
    [
      'a wrong proof before the right one',
      401,
      () => offer(`membroker, membroker.proof.${wrong()}, membroker.proof.${proof}`),
    ],
    ['the proof of a nonce of its own', 410, () => offer(`membroker, membroker.proof.${invented()}`)],
    [
      'the proof of a nonce that was made younger',
      410,
      () => offer(`membroker, membroker.proof.${proofOf(younger(proof.slice(0, 72)), token)}`),
    ],
    ['a proof that was made for asking', 401, () => offer(`membroker, membroker.proof.${asking()}`)],
    ['the proof of another nonce', 401, () => offer(`membroker, membroker.proof.${mixed()}`)],
    ['the proof alone', 400, () => offer(`membroker.proof.${proof}`)],
    [
      'the proof in another place',
      401,
      () => handshake({ 'Sec-WebSocket-Protocol': 'membroker', Authorization: `Proof ${proof}` }),
    ],
    [
      'the proof in the path',
      404,
      () => handshake({ 'Sec-WebSocket-Protocol': 'membroker' }, `GET /socket?proof=${proof} HTTP/1.1`),
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
    [
      'another name of this host, where somebody else may listen',
      421,
      () => handshake({ Host: `localhost:${port}`, Origin: `http://localhost:${port}` }),
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
      () => handshake({ 'Sec-WebSocket-Protocol': `membroker, membroker, membroker.proof.${proof}` }),
    ],
  ]
  test.each(variations)('with %s is answered by %d', (_, status, lines) =>
    withProof(async () => {
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
      () => get('/metrics', `Authorization: Bearer ${flipped(metricsToken)}`),
    ],
    [
      'of the metrics with a token cut short',
      401,
      () => get('/metrics', `Authorization: Bearer ${metricsToken.slice(1)}`),
    ],
    [
      'of the metrics with the token as a password',
      401,
      () => get('/metrics', `Authorization: Basic ${metricsToken}`),
    ],
    ['of the metrics with the token in the address', 404, () => get(`/metrics?token=${metricsToken}`)],
    [
      'of the metrics with the token of the page',
      401,
      () => get('/metrics', `Authorization: Bearer ${token}`),
    ],
    ['of the metrics with a proof', 401, () => get('/metrics', `Authorization: Proof ${proof}`)],
    ['of a challenge by a foreign name', 421, () => ['GET /challenge HTTP/1.1', 'Host: example.org']],
    ['of a challenge by a foreign site', 403, () => get('/challenge', 'Origin: https://example.org')],
    ['of a challenge by a sandboxed frame', 403, () => get('/challenge', 'Origin: null')],
    ['of a challenge by the page itself', 200, () => get('/challenge', `Origin: http://${host}`)],
    ['of the page by a foreign name', 421, () => ['GET / HTTP/1.1', 'Host: example.org']],
    [
      'of the metrics by a foreign name',
      421,
      () => ['GET /metrics HTTP/1.1', 'Host: example.org', `Authorization: Bearer ${metricsToken}`],
    ],
    ['without a Host', 400, () => ['GET / HTTP/1.1']],
    ['of HTTP/1.0 without a Host', 421, () => ['GET / HTTP/1.0']],
    ['of the socket without an upgrade', 401, () => get('/socket')],
    ['of the socket with the token', 401, () => get('/socket', `Authorization: Bearer ${token}`)],
    ['of the socket with a proof that opens it', 401, () => get('/socket', `Authorization: Proof ${proof}`)],
    [
      'of the socket with a proof for asking, but no upgrade',
      426,
      () => get('/socket', `Authorization: Proof ${proofOf(proof.slice(0, 72), token, 'asking')}`),
    ],
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
    withProof(async () => {
      const peer = await request(port, lines())
      expect(peer.status).toBe(status)
      expect(peer.header('access-control-allow-origin')).toBeUndefined()
      expect(peer.received.toString()).not.toContain(token)
    }),
  )

  test('to be a proxy ends without an answer', () =>
    withProof(async () => {
      const peer = await request(port, ['CONNECT example.org:80 HTTP/1.1', 'Host: example.org:80'])
      expect(peer.received).toHaveLength(0)
    }))
})

test('every answer forbids browsers to frame it, to guess its type, to keep it and to name it to others', async () => {
  for (const path of ['/', '/metrics', '/challenge', '/socket', '/nowhere']) {
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
  withProof(async () => {
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
  withProof(async () => {
    const silent = Array.from({ length: 300 }, () => new RawHttp(port))
    const viewer = await PageClient.connect({ host, token })
    expect((await viewer.call('GetStatus', {})).pid).toBe(broker.pid)
    const peer = await request(port, [
      'GET /metrics HTTP/1.1',
      `Host: ${host}`,
      `Authorization: Bearer ${metricsToken}`,
    ])
    expect(peer.status).toBe(200)
    expect((await viewer.call('GetStatus', {})).pid).toBe(broker.pid)
    for (const { socket } of silent) socket.destroy()
    await viewer.close()
  }))

test('a proof is good once: replayed, it opens no connection and is told nothing', () =>
  withProof(async () => {
    const viewer = await PageClient.offer(host, proof)
    await expect(PageClient.offer(host, proof)).rejects.toThrow('turned away: 410')
    expect((await viewer.call('GetStatus', {})).pid).toBe(broker.pid)
    await viewer.close()
    const asking = await prove({ host, token }, 'asking')
    const ask = ['GET /socket HTTP/1.1', `Host: ${host}`, `Authorization: Proof ${asking}`]
    expect((await request(port, ask)).status).toBe(426)
    expect((await request(port, ask)).status).toBe(410)
  }))

test('however many challenges others ask for, a page that has one is let in', () =>
  withProof(async () => {
    const ask = () => request(port, ['GET /challenge HTTP/1.1', `Host: ${host}`])
    const nonces = new Set<string>()
    // In a fraction of the time for which a nonce is good, on a slow machine too.
    for (let i = 0; i < 20; i++)
      for (const { status, body } of await Promise.all(Array.from({ length: 20 }, ask))) {
        expect(status).toBe(200)
        nonces.add(body)
      }
    expect(nonces.size).toBe(400)
    const viewer = await PageClient.offer(host, proof)
    expect((await viewer.call('GetStatus', {})).pid).toBe(broker.pid)
    await viewer.close()
  }))

test('the tokens are in no line of the log', () => {
  expect(broker.log).toContain('the console refused requests')
  expect(broker.log).not.toContain(token)
  expect(broker.log).not.toContain(metricsToken)
})

test('who asks for a challenge with a nonce of its own is shown that it is the broker who answers', async () => {
  const own = 'p'.repeat(43)
  const answer = await request(port, [`GET /challenge?${own} HTTP/1.1`, `Host: ${host}`])
  const [nonce, proof] = answer.body.split('.') as [string, string]
  expect(`${nonce}.${proof}`).toBe(proofOf(nonce, token, `broker ${own}`))
  // It is no proof that opens anything.
  const taken = handshake({ 'Sec-WebSocket-Protocol': `membroker, membroker.proof.${nonce}.${proof}` })
  expect((await request(port, taken)).status).toBe(401)
  for (const wrong of ['p'.repeat(42), `${'p'.repeat(42)}%`, 'p'.repeat(44)])
    expect((await request(port, [`GET /challenge?${wrong} HTTP/1.1`, `Host: ${host}`])).status).toBe(404)
})

test.each(['localhost', '[::1]'])(
  'asked as %s for the page, it says where that is; for all else, that it is not here',
  async name => {
    const page = await request(port, ['GET / HTTP/1.1', `Host: ${name}:${port}`])
    expect([page.status, page.header('location')]).toEqual([308, `http://${host}/`])
    for (const path of ['/challenge', '/metrics', '/socket'])
      expect((await request(port, [`GET ${path} HTTP/1.1`, `Host: ${name}:${port}`])).status).toBe(421)
  },
)
