/**
 * Proves that QEMU's monitor is spoken to as its protocol says, and that one which says something else, or nothing, costs no
 * more than a named error: answers are matched by number, events come through, refusals are QEMU's words, deadlines hold.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import path from 'node:path'
import { Qmp } from '../../src/client/ctl/vm/qmp'

const greeting = { QMP: { version: { qemu: { major: 7, minor: 2, micro: 0 } }, capabilities: [] } }

let folder: string
let server: Server
let peer: Socket
const open: Qmp[] = []

beforeEach(async () => {
  folder = mkdtempSync('/tmp/mbv-')
  server = createServer().listen(path.join(folder, 'qmp'))
  await once(server, 'listening')
})
afterEach(() => {
  for (const qmp of open.splice(0)) qmp.close()
  peer?.destroy()
  server.close()
  rmSync(folder, { recursive: true })
})

const say = (...messages: object[]) =>
  peer.write(messages.map(message => `${JSON.stringify(message)}\n`).join(''))

/** Lines that QEMU is sent. */
function heard(): AsyncIterator<{ execute: string; arguments?: object; id: number }> {
  return (async function* () {
    let text = ''
    for await (const bytes of peer) {
      text += bytes
      const lines = text.split('\n')
      text = lines.pop()!
      for (const line of lines) yield JSON.parse(line)
    }
  })()
}

async function connected(answerMs = 60_000, greetingMs = 60_000) {
  const accepted = once(server, 'connection')
  const opening = Qmp.open(connect(path.join(folder, 'qmp')), greetingMs, answerMs)
  opening.then(
    qmp => open.push(qmp),
    () => {},
  )
  peer = (await accepted)[0]
  const lines = heard()
  const next = async () => (await lines.next()).value
  return { opening, next }
}

async function ready(answerMs?: number) {
  const { opening, next } = await connected(answerMs)
  say(greeting)
  const { execute, id } = await next()
  expect(execute).toBe('qmp_capabilities')
  say({ return: {}, id })
  return { qmp: await opening, next }
}

test('answers are matched by their number, in whatever order and pieces they come', async () => {
  const { qmp, next } = await ready()
  const events: unknown[] = []
  qmp.on('event', (...event) => events.push(event))
  const [first, second] = [qmp.execute('query-status'), qmp.execute('qom-get', { path: '/machine' })]
  const [one, two] = [await next(), await next()]
  expect(two).toMatchObject({ execute: 'qom-get', arguments: { path: '/machine' } })
  const timestamp = { seconds: 1_767_225_600, microseconds: 250_000 }
  const text = `${JSON.stringify({ event: 'STOP', timestamp })}\r\n${JSON.stringify({ return: 'Zwei µ', id: two.id })}\n`
  for (const byte of Buffer.from(text)) peer.write(Buffer.from([byte]))
  expect(await second).toBe('Zwei µ')
  say({ return: { status: 'running' }, id: one.id })
  expect(await first).toEqual({ status: 'running' })
  expect(events).toEqual([['STOP', {}, 1_767_225_600_250]])
})

test('a refusal is in the words of QEMU, and costs nothing else', async () => {
  const { qmp, next } = await ready()
  const refused = qmp.execute('migrate', { uri: 'x' })
  say({ error: { class: 'GenericError', desc: 'unknown migration protocol: x' }, id: (await next()).id })
  await expect(refused).rejects.toMatchObject({
    kind: 'refused',
    message: 'migrate: unknown migration protocol: x',
  })
  const again = qmp.execute('cont')
  say({ error: 7, id: (await next()).id })
  await expect(again).rejects.toMatchObject({ kind: 'refused', message: 'cont: QEMU refuses, and says 7' })
})

test('what is no message is told of and left out, and the next line counts', async () => {
  const { qmp, next } = await ready()
  const garbage: string[] = []
  qmp.on('garbage', text => garbage.push(text))
  const asked = qmp.execute('query-status')
  const { id } = await next()
  peer.write('Segmentation fault\n[1,2]\nnull\n\n{"return":1}\n{"id":99,"return":1}\n')
  say({ return: 'good', id })
  expect(await asked).toBe('good')
  expect(garbage).toEqual(['Segmentation fault', '[1,2]', 'null', '{"return":1}', '{"id":99,"return":1}'])
})

test('no greeting, and no answer, are said at their deadlines', async () => {
  const { opening } = await connected(60_000, 50)
  await expect(opening).rejects.toMatchObject({
    kind: 'lost',
    message: 'the greeting: QEMU did not answer within 50 ms',
  })
  const { qmp, next } = await ready(50)
  await expect(qmp.execute('stop')).rejects.toMatchObject({
    kind: 'lost',
    message: 'stop: QEMU did not answer within 50 ms',
  })
  // Its answer, when it comes, is of nobody.
  const garbage = once(qmp, 'garbage')
  say({ return: {}, id: (await next()).id })
  await garbage
})

test('when QEMU is gone, all that waits is told, and all that comes', async () => {
  const { qmp } = await ready()
  const waiting = qmp.execute('query-status')
  peer.destroy()
  await expect(waiting).rejects.toMatchObject({
    kind: 'lost',
    message: expect.stringMatching(/^query-status: QEMU is gone/),
  })
  await expect(qmp.execute('cont')).rejects.toMatchObject({
    kind: 'unsent',
    message: expect.stringMatching(/^cont: QEMU is gone/),
  })
})

test('a line without an end is not kept without a bound', async () => {
  const { qmp } = await ready()
  const ended = once(qmp, 'end')
  const piece = Buffer.alloc(64 * 1024, 'x')
  const pour = () => {
    while (!peer.destroyed && peer.write(piece));
  }
  peer.on('drain', pour).on('error', () => {})
  pour()
  expect((await ended)[0]).toMatchObject({
    message: expect.stringMatching(/a line of more than 4194304 bytes/),
  })
})
