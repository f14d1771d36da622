/** Proves that `watch` gives other programs whole lines at once, and says which changes it did not see. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type Broker, connect, MiB } from '../../../src/client'
import { TestBroker, until } from '../../support/test-broker'
import { ctlMain, startCtl } from '../support/ctl'
import { ScriptedBroker, status } from '../support/scripted-broker'

interface Line {
  type: string
  again?: boolean
  count?: number
  pid?: number
  event?: { kind: string; allocation?: string; sequence: number }
}

/** The lines of watch --json, as they come. */
function follow(socket: string): {
  child: ChildProcess
  lines: Line[]
  outcome: ReturnType<typeof startCtl>['outcome']
} {
  const { child, outcome } = startCtl(socket, ['watch', '--json'])
  const lines: Line[] = []
  createInterface({ input: child.stdout! }).on('line', line => lines.push(JSON.parse(line)))
  return { child, lines, outcome }
}

describe('of a real broker', () => {
  let server: TestBroker
  let broker: Broker

  beforeEach(async () => {
    server = await TestBroker.start({ main: {} })
    broker = await connect({ socket: server.socket })
  })
  afterEach(async () => {
    await broker.close()
    await server.dispose()
  })

  test('each line is an object, written when it is known; interrupted, it ends without a word', async () => {
    // Proves NDJSON for programs that live beside it, with names that would break lines, and its quiet end.
    const { child, lines, outcome } = follow(server.socket)
    await until(() => lines.length > 0, 'the snapshot')
    expect(lines[0]).toMatchObject({ type: 'snapshot', again: false, allocations: [] })
    const ram = await broker.allocate({ name: 'a "b"\\n漢', size: MiB, metadata: { text: 'x\ny' } })
    await until(() => lines.some(({ event }) => event?.allocation === 'a "b"\\n漢'), 'its line')
    await ram.release()
    await until(() => lines.some(({ event }) => event?.kind === 'released'), 'the end of it')
    const numbers = lines.flatMap(({ event }) => (event ? [event.sequence] : []))
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    child.kill('SIGINT')
    expect(await outcome).toMatchObject({ code: 130, signal: null, stderr: '' })
  })

  test('a broker that restarts is told of, before and after, and what was there in between', async () => {
    // Proves that nobody has to guess what a viewer may have missed, however long the broker is away.
    const { child, lines, outcome } = follow(server.socket)
    await until(() => lines.length > 0, 'the snapshot')
    await server.kill()
    await until(() => lines.some(({ type }) => type === 'disconnected'), 'a word about it')
    await server.start()
    await broker.allocate({ name: 'later', size: MiB })
    await until(() => lines.some(({ type, again }) => type === 'snapshot' && again === true), 'the new state')
    await until(
      () => lines.some(({ type, pid }) => type === 'reconnected' && pid === server.pid),
      'its return',
    )
    await broker.allocate({ name: 'after', size: MiB })
    await until(() => lines.some(({ event }) => event?.allocation === 'after'), 'changes again')
    child.kill('SIGTERM')
    expect(await outcome).toMatchObject({ code: 130, stderr: '' })
  })

  test.each([['watch', '--json'], ['list']])(
    '%s ends quietly when nobody reads any more',
    async (...args) => {
      // Proves that `broker-ctl ... | head` is no failure and leaves nothing running.
      for (let i = 0; i < 300; i++) await broker.allocate({ name: `${'x'.repeat(200)}${i}`, size: 4096 })
      const child = spawn(process.execPath, [ctlMain, ...args], {
        env: { ...process.env, MEMBROKER_SOCKET: server.socket },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let stderr = ''
      child.stderr.setEncoding('utf8').on('data', text => {
        stderr += text
      })
      const ended = once(child, 'exit')
      child.stdout.destroy()
      await until(async () => {
        await broker.allocate({ name: `y${Math.random()}`, size: 4096 })
        return child.exitCode !== null || child.signalCode !== null
      }, 'its end')
      expect(await ended).toEqual([0, null])
      expect(stderr).toBe('')
    },
  )

  /** A watch whose output nobody reads yet: pipes hold some hundred KiB of it. */
  async function unread(): Promise<ChildProcess> {
    const child = spawn(process.execPath, [ctlMain, 'watch', '--json'], {
      env: { ...process.env, MEMBROKER_SOCKET: server.socket },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    child.stdout.pause()
    await until(async () => (await broker.clients()).some(({ watching }) => watching), 'it watches')
    return child
  }

  /** Some hundred KiB of events, as lines. */
  async function happen(): Promise<void> {
    const note = 'x'.repeat(200)
    for (let i = 0; i < 500; i++) await (await broker.allocate({ name: `${note}${i}`, size: 4096 })).release()
  }

  test('a reader that stops reading does not keep it from hearing signals', async () => {
    // Proves that a full pipe is waited for without being deaf: `broker-ctl watch | less`, and Ctrl-C.
    const child = await unread()
    try {
      await happen()
      child.kill('SIGINT')
      await until(() => child.exitCode !== null || child.signalCode !== null, 'its end', 30_000)
      expect([child.exitCode, child.signalCode]).toEqual([130, null])
    } finally {
      child.kill('SIGKILL')
    }
  })

  test('a reader that reads on is told how much was left out meanwhile', async () => {
    // Proves that watch asks for no more than is read, so that it neither grows nor hides what it did not see.
    const child = await unread()
    try {
      while ((await broker.statistics()).eventsMissed === 0) await happen()
      const lines: Line[] = []
      createInterface({ input: child.stdout! }).on('line', line => lines.push(JSON.parse(line)))
      await until(() => lines.some(({ type }) => type === 'missed'), 'a word on it')
      expect(lines.find(({ type }) => type === 'missed')!.count).toBeGreaterThan(0)
    } finally {
      child.kill('SIGKILL')
    }
  })

  test('output that can’t be written is an error', async () => {
    // Proves that a full disk is not taken for a reader who has seen enough.
    await broker.allocate({ name: 'a', size: 4096 })
    const command = `exec "$0" "$@" > /dev/full`
    const child = spawn('sh', ['-c', command, process.execPath, ctlMain, 'list'], {
      env: { ...process.env, MEMBROKER_SOCKET: server.socket },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', text => {
      stderr += text
    })
    expect(await once(child, 'close')).toEqual([1, null])
    expect(stderr).toMatch(/^broker-ctl: .*ENOSPC/)
  })
})

test('changes that the broker left out are told of, in their place', async () => {
  // Proves the line that tells a program that its picture is no longer whole.
  const scripted = new ScriptedBroker()
  const event = { sequence: 9, time: 1, kind: 'thawed' }
  scripted.script.set('GetStatus', call => call.reply(status))
  scripted.script.set('Watch', call => {
    call.replyMore({ allocations: [], mappings: [], snapshotEnd: true })
    call.replyMore({ event, missed: 7 })
  })
  try {
    const { child, lines, outcome } = follow(scripted.socket)
    await until(() => lines.length === 3, 'the lines')
    expect(lines.slice(1)).toEqual([
      { type: 'missed', count: 7 },
      { type: 'event', event },
    ])
    child.kill('SIGINT')
    expect(await outcome).toMatchObject({ code: 130 })
  } finally {
    scripted.dispose()
  }
})
