/**
 * Proves that `top` follows a real broker on a terminal of any size, obeys its keys, and leaves the terminal as it
 * was.
 */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Broker, connect, MiB } from '../../../src/client'
import { TestBroker } from '../../support/test-broker'
import { ctl, ctlMain } from '../support/ctl'
import { Pty } from './pty'

let server: TestBroker
let broker: Broker
const ptys: Pty[] = []

beforeEach(async () => {
  server = await TestBroker.start({ main: {} })
  broker = await connect({ socket: server.socket })
})
afterEach(async () => {
  await Promise.all(ptys.splice(0).map(pty => pty.dispose()))
  await broker.close()
  await server.dispose()
})

function top(
  options: { rows?: number; columns?: number; env?: NodeJS.ProcessEnv; args?: string[] } = {},
): Pty {
  const { args = [], env, ...size } = options
  const command = [process.execPath, ctlMain, 'top', '--interval', '0.2', ...args]
  const pty = new Pty(command, { ...size, env: { MEMBROKER_SOCKET: server.socket, ...env } })
  ptys.push(pty)
  return pty
}

test('changes are seen as they happen, drawn over what was there', async () => {
  // Proves the live view: allocations come and go, events pass, and the screen is erased only once, at the start.
  const pty = top()
  await pty.shows(/^membrokerd \S+ {2}pid \d+ /)
  await pty.shows('requests/s')
  const ram = await broker.allocate({ name: 'vm-1/ram', size: 16 * MiB })
  await pty.shows(/^vm-1\/ram +16 MiB +main .* unverified$/m)
  await pty.shows(/^main +\[█+·+\] 16 MiB of 64 MiB {2}free 48 MiB$/m)
  await pty.shows(/#\d+ {2}allocated {2}vm-1\/ram/)
  const mapping = await ram.map()
  await pty.shows(new RegExp(`^vm-1/ram .* ${process.pid} +1 +2 `, 'm'))
  await mapping.close()
  await ram.release()
  await pty.shows(({ text }) => !/^vm-1\/ram/m.test(text) && text.includes('free 64 MiB'))
  expect(pty.terminal).toMatchObject({ alternate: true, cursorHidden: true, clears: 2 })
})

test('keys choose the list, its order and what is in it', async () => {
  // Proves each key that the help names.
  const names = Array.from({ length: 40 }, (_, i) => `vm-${String(i).padStart(2, '0')}`)
  for (const [i, name] of names.entries()) await broker.allocate({ name, size: (i + 1) * 4096 })
  const pty = top({ rows: 20 })
  const first = (name: string) => new RegExp(`^NAME .*\n${name} `, 'm')
  await pty.shows(first('vm-39'))
  pty.type('r')
  await pty.shows(first('vm-00'))
  pty.type('n')
  await pty.shows(/by name/)
  pty.type('\u001b[B')
  await pty.shows(first('vm-01'))
  pty.type('\u001b[F')
  await pty.shows(/^vm-39 /m)
  pty.type('\u001b[H')
  await pty.shows(first('vm-00'))
  pty.type('\u001b[6~')
  await pty.shows(({ text }) => !/^vm-00 /m.test(text))
  await (await broker.allocation('vm-07')).setMetadata({ a: 1 })
  pty.type('c')
  await pty.shows(first('vm-07'))
  pty.type('/2q')
  await pty.shows(({ text }) => text.includes('/2q') && !/^vm-/m.test(text))
  pty.type('\u007f3\r')
  await pty.shows(({ text }) => /^vm-23 /m.test(text) && !/^vm-22 /m.test(text) && text.includes('with "23"'))
  pty.type('\u001b')
  await pty.shows(/^vm-39 /m)
  pty.type('2')
  await pty.shows(new RegExp(`^ +PID .*\n( +\\d+ .*\n)* +${process.pid} `, 'm'))
  pty.type('\t')
  await pty.shows(/^METHOD .*\n(.*\n)*GetStatus +\d/m)
  pty.type('4')
  await pty.shows(/^RETIRED /m)
  pty.type('5')
  await pty.shows(/^EVENTS/m)
  pty.type('?')
  await pty.shows(/^ {2}q, Ctrl-C +quit$/m)
  pty.type('x')
  await pty.shows(/^EVENTS/m)
  pty.type('q')
  expect(await pty.ended).toEqual({ status: 0, restored: true })
})

test('it fits every size of terminal, and follows changes of it', async () => {
  // Proves that no line is too long and none too many, down to a single cell, and that nothing is left of what was there.
  await broker.allocate({ name: 'vm-漢字/ram', size: MiB })
  const pty = top({ rows: 40, columns: 160 })
  await pty.shows(/^vm-漢字\/ram /m)
  for (const [rows, columns] of [
    [10, 40],
    [3, 12],
    [1, 1],
    [2, 200],
    [50, 20],
  ] as const) {
    const { clears } = pty.terminal
    pty.resize(rows, columns)
    await pty.shows(({ lines, clears: now }) => now > clears && lines.some(line => line !== ''))
    expect(pty.terminal.overflows).toBe(0)
  }
  pty.resize(24, 100)
  await pty.shows(
    /^membrokerd(.*\n)*NAME(.*\n)*vm-漢字\/ram +1 MiB .* unverified\n(.*\n)*LATEST EVENTS\n(.*\n)*1 alloc.* q quit$/,
  )
})

test('a broker that goes away is waited for', async () => {
  // Proves that the view says so, keeps what it knew, and goes on with the next broker.
  await broker.allocate({ name: 'vm-1/ram', size: MiB })
  const pty = top()
  await pty.shows(/^vm-1\/ram /m)
  const { pid } = server
  await server.kill()
  await pty.shows(/^BROKER AWAY for \d+s: .*reconnecting$/m)
  await pty.shows(/^vm-1\/ram /m)
  await server.start()
  await pty.shows(({ text }) => !text.includes('BROKER AWAY') && text.includes(`pid ${server.pid} `))
  expect(server.pid).not.toBe(pid)
  await broker.allocate({ name: 'vm-2/ram', size: MiB })
  await pty.shows(/^vm-2\/ram .*\n(.*\n)*.*requests\/s|requests\/s(.*\n)*vm-2\/ram /)
  pty.type('q')
  expect(await pty.ended).toEqual({ status: 0, restored: true })
})

test('what needs attention is said at the top', async () => {
  // Proves the warnings of a freeze.
  const pty = top()
  await pty.shows('requests/s')
  await broker.freeze('kexec at noon')
  await pty.shows(/^FROZEN: kexec at noon$/m)
  await broker.thaw()
  await pty.shows(({ text }) => !text.includes('FROZEN'))
})

test.each([
  ['q', 0],
  ['\u0003', 0],
  ['SIGINT', 130],
  ['SIGTERM', 130],
  ['SIGHUP', 0],
  ['crash', 1],
] as const)('the terminal is as it was after %j', async (end, status) => {
  // Proves that no way out leaves a raw terminal, a hidden cursor or the alternate screen behind.
  const crash = path.join(server.directory, 'crash.js')
  writeFileSync(crash, "process.on('SIGUSR2', () => { throw new Error('a crash') })")
  const pty = top({ env: { NODE_OPTIONS: `--require ${crash}` } })
  await pty.shows('requests/s')
  // On a busy machine the wait for the broker was worth a line.
  const { normal } = pty.terminal
  if (end === 'crash') await pty.signal('SIGUSR2')
  else if (end.startsWith('SIG')) await pty.signal(end as NodeJS.Signals)
  else pty.type(end)
  expect(await pty.ended).toEqual({ status, restored: true })
  expect(pty.terminal).toMatchObject({ alternate: false, cursorHidden: false, wraps: true })
  expect(pty.terminal.normal.slice(normal.length)).toEqual(
    end === 'crash' ? expect.stringContaining('Error: a crash') : '',
  )
})

test('suspended, it gives the terminal back, and takes it again', async () => {
  // Proves Ctrl-Z as every program of a shell has it. The shell waits for its child to stop and then has it go on.
  const script = 'set -m; "$0" "$@" & fg; echo stopped; read -r line; fg'
  const command = [process.execPath, ctlMain, 'top', '--interval', '0.2']
  const pty = new Pty(['bash', '-c', script, ...command], { env: { MEMBROKER_SOCKET: server.socket } })
  ptys.push(pty)
  await pty.shows('requests/s')
  pty.type('\u001a')
  await pty.shows(({ alternate, normal }) => !alternate && /stopped/.test(normal))
  pty.type('\n')
  await pty.shows(({ alternate, text }) => alternate && text.includes('requests/s'))
  pty.type('q')
  expect(await pty.ended).toMatchObject({ restored: true })
})

test('without a shell there is no suspending, and no getting stuck', async () => {
  // Proves that Ctrl-Z of a program that nobody could continue (ssh -t HOST broker-ctl top) does it no harm.
  const pty = top()
  await pty.shows('requests/s')
  const { clears } = pty.terminal
  pty.type('\u001a')
  await pty.shows(terminal => terminal.clears > clears && terminal.text.includes('requests/s'))
  pty.type('q')
  expect(await pty.ended).toEqual({ status: 0, restored: true })
})

test('where no terminal is, it prints one frame of text', async () => {
  // Proves what scripts and pipes get: no escape sequences, figures measured, JSON per interval.
  await broker.allocate({ name: 'vm-1/ram', size: MiB })
  const once = await ctl(server.socket, 'top', '--interval', '0.1')
  expect(once).toMatchObject({ code: 0, stderr: '' })
  expect(once.stdout).toMatch(
    /^membrokerd .*\nallocations 1 .*\n[\d.]+ requests\/s .*\nmain .*\n\nNAME .*\nvm-1\/ram +1 MiB /,
  )
  expect(once.stdout).not.toContain('\u001b')
  const json = await ctl(server.socket, 'top', '--once', '--json', '--interval', '0.1')
  expect(JSON.parse(json.stdout)).toMatchObject({
    status: { allocations: 1 },
    ranges: [{ name: 'main' }],
    rates: { requestsPerSecond: expect.any(Number) },
  })
  expect(await ctl(server.socket, 'top', '--interval', '0')).toMatchObject({ code: 2 })
  const dumb = top({ env: { TERM: 'dumb' } })
  expect(await dumb.ended).toMatchObject({ status: 0 })
  expect(dumb.terminal.normal).toContain('vm-1/ram')
})
