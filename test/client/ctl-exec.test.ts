/**
 * Proves that `broker-ctl exec` becomes the command: its process, its signals, its exit status, and only the
 * descriptors that it asked for.
 */
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Broker, connect } from '../../src/client'
import { attemptNow, bareEnvironment } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { packageRoot } from '../support/package-root'
import { TestBroker, until } from '../support/test-broker'
import { ctl, ctlMain, startCtl } from './support/ctl'

let server: TestBroker
let broker: Broker

beforeAll(async () => {
  server = await TestBroker.start({ main: { graceMs: 100 } })
  broker = await connect({ socket: server.socket })
})
afterAll(async () => {
  await broker.close()
  await server.dispose()
})

const exec = (...args: string[]) => ctl(server.socket, 'exec', ...args)

test('the command is the holder: same process, its own exit status', async () => {
  // Proves that no wrapper stays: the pid that held the allocation is the pid that the command sees as its own.
  const seen = path.join(server.directory, 'seen')
  const { child, outcome } = startCtl(server.socket, [
    'exec',
    '--map',
    'x/ram:fd=9',
    '--allocate',
    '64K',
    '--',
    'sh',
    '-c',
    'echo $$ $MEMBROKER_FDS; read line <&9; until [ -e "$0" ]; do sleep 0.05; done; exit 7',
    seen,
  ])
  await once(child.stdout!, 'data')
  const { allocation, mappings } = await broker.get('x/ram')
  expect(allocation.holderPid).toBe(child.pid)
  expect(mappings).toMatchObject([{ state: 'held', pid: child.pid }])
  writeFileSync(seen, '')
  expect(await outcome).toMatchObject({ code: 7, stdout: `${child.pid} x/ram=9\n`, stderr: '' })
  await until(async () => (await broker.get('x/ram')).mappings[0]?.state === 'dormant', 'the layout to wait')
})

test('the next run takes the waiting mapping over, and finds the bytes', async () => {
  // Proves continuity for programs that know nothing of the broker.
  const write = await exec('--map', 'y/ram', '--allocate', '64K', '--', 'sh', '-c', 'printf continued >&3')
  expect(write).toMatchObject({ code: 0, stderr: '' })
  const [before] = (await broker.get('y/ram')).mappings
  expect(await exec('--map', 'y/ram:fd=5', '--', 'head', '-c', '9', '/proc/self/fd/5')).toMatchObject({
    stdout: 'continued',
  })
  expect((await broker.get('y/ram')).mappings.map(({ id }) => id)).toEqual([before!.id])
})

test('descriptors that are to be kept reach the command, at their numbers, beside those mapped', async () => {
  // Proves that a program started by another with sockets of its own (libvirt) still has them; Node ends what it inherits.
  const texts = ['three', 'four', 'five', 'six', 'seven'].map((text, index) => {
    const file = path.join(server.directory, `kept-${index}`)
    writeFileSync(file, `${text}\n`)
    return openSync(file, 'r')
  })
  const { stdout, stderr } = attemptNow(
    process.execPath,
    [
      ...[path.join(packageRoot, 'dist/program/broker-ctl.js'), '--socket', server.socket, 'exec'],
      ...['--keep', '3', '--keep', '7', '--map', 'k/ram', '--allocate', '4K', '--'],
      ...[
        'sh',
        '-c',
        'echo "$MEMBROKER_FDS"; cat <&3; cat <&7; [ ! -e /proc/self/fd/5 ] && echo not the fifth',
      ],
    ],
    { fds: texts },
  )
  for (const fd of texts) closeSync(fd)
  expect([stderr, stdout]).toEqual(['', 'k/ram=4\nthree\nseven\nnot the fifth\n'])
  for (const wrong of [
    ['--keep', '77'],
    ['--keep', 'x'],
    ['--keep', '7', '--map', 'k/ram:fd=7'],
  ])
    expect(await exec(...wrong, '--map', 'k/ram', '--', 'true')).toMatchObject({ code: 2 })
})

test('below another exec, the variable names the descriptors of the inner one, once', async () => {
  const broker = [path.join(packageRoot, 'dist/program/broker-ctl.js'), '--socket', server.socket]
  const inner = [
    '--',
    process.execPath,
    ...broker,
    'exec',
    '--map',
    'n/inner',
    '--allocate',
    '4K',
    '--',
    'env',
  ]
  const { stdout } = await exec('--map', 'n/outer', '--allocate', '4K', ...inner)
  expect(stdout.match(/^MEMBROKER_FDS=.*/gm)).toEqual(['MEMBROKER_FDS=n/inner=3'])
})

test('signals reach the command itself', async () => {
  // Proves that nothing in between catches or translates them.
  const { child, outcome } = startCtl(server.socket, [
    'exec',
    '--map',
    'z/ram',
    '--allocate',
    '4K',
    '--',
    'sh',
    '-c',
    'echo up; sleep 100 & wait',
  ])
  await once(child.stdout!, 'data')
  child.kill('SIGTERM')
  child.stdout!.destroy()
  const [, signal] = await once(child, 'exit')
  expect(signal).toBe('SIGTERM')
  child.stderr!.destroy()
  await outcome
})

test('the command gets its descriptors and standard streams, nothing of ours', async () => {
  // Proves that neither the broker's socket nor a copy of the memory leaks into the command.
  const { stdout } = await exec(
    '--map',
    'w/a:fd=7',
    '--map',
    'w/b,access=read',
    '--allocate',
    '4K',
    '--',
    'sh',
    '-c',
    'ls -l /proc/$$/fd',
  )
  const shown = stdout
    .split('\n')
    .filter(line => /socket:|alloc-/.test(line))
    .map(line => line.replace(/^.* (\d+) -> .*?(socket|alloc).*$/, '$1 $2'))
  // The test's own pipes, which Node makes as sockets, are the command's output.
  expect(shown.sort()).toEqual(['1 socket', '2 socket', '3 alloc', '7 alloc'])
})

test('the limit of open files can be lowered for the command, as the help says', async () => {
  // Proves the advice: prlimit in between stays the same process, and its soft limit is what the command gets.
  const script = 'ulimit -Sn; echo $$; readlink /proc/$$/fd/3'
  const { child, outcome } = startCtl(server.socket, [
    ...['exec', '--map', 'v/ram', '--allocate', '4K', '--'],
    ...['prlimit', '--nofile=256:', 'sh', '-c', script],
  ])
  const { stdout, stderr } = await outcome
  expect(stderr).toBe('')
  expect(stdout.split('\n')).toEqual(['256', String(child.pid), expect.stringContaining('alloc-'), ''])
  expect((await ctl(server.socket, 'exec', '--help')).stdout).toContain('prlimit --nofile=1024: COMMAND')
})

test('a command that can’t be run is told as shells do', async () => {
  // Proves 127 and 126, and that nothing was allocated for it.
  expect(await exec('--map', 'never', '--allocate', '4K', '--', 'no-such-command')).toMatchObject({
    code: 127,
    stderr: expect.stringContaining('CommandNotFound'),
  })
  const file = path.join(server.directory, 'not-executable')
  writeFileSync(file, 'x', { mode: 0o600 })
  expect(await exec('--map', 'never', '--allocate', '4K', '--', file)).toMatchObject({ code: 126 })
  await expect(broker.get('never')).rejects.toMatchObject({ code: 'NotFound' })
  expect(await exec('--map', 'absent', '--', 'true')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('--allocate'),
  })
})

const withoutRights = needsRoot('a search path with folders of others') ? test : test.skip
withoutRights('a folder of the search path that the user may not look into has no commands', () => {
  // Proves that what shells call not found is not called forbidden, and what is named by its path is.
  const hidden = mkdtempSync(path.join(tmpdir(), 'membroker-hidden-'))
  try {
    const run = (command: string) =>
      attemptNow(
        'setpriv',
        ['--reuid=65534', '--regid=65534', '--clear-groups', '--'].concat([
          process.execPath,
          ctlMain,
          'exec',
          '--map',
          'never',
          '--',
          command,
        ]),
        { env: bareEnvironment({ PATH: `${hidden}:/usr/bin:/bin`, MEMBROKER_SOCKET: server.socket }) },
      )
    expect(run('no-such-command')).toMatchObject({ status: 127 })
    expect(run(path.join(hidden, 'command'))).toMatchObject({ status: 126 })
  } finally {
    rmSync(hidden, { recursive: true })
  }
})

test('a secret comes from a file', async () => {
  // Proves that an allocation with a secret is claimed with it, and not without.
  const file = path.join(server.directory, 'secret')
  writeFileSync(file, 'hush\n')
  const arguments_ = ['--map', 's/ram', '--allocate', '4K', '--secret-file', file, '--', 'true']
  expect(await exec(...arguments_)).toMatchObject({ code: 0, stderr: '' })
  expect(await exec(...arguments_)).toMatchObject({ code: 0, stderr: '' })
  expect(await exec('--map', 's/ram', '--', 'true')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('PermissionDenied'),
  })
})

test('what the command needs to know of its memory is filled in, of each --map', async () => {
  const text = '{map.fd} {map.path} {map.size} {map.align} {map2.fd} {map2.size} {other}'
  const maps = ['--map', 'f/one:fd=9,allocate=1M', '--map', 'f/two:allocate=64K,offset=4K']
  expect(await exec(...maps, '--', 'echo', text)).toMatchObject({
    code: 0,
    stdout: `9 /proc/self/fd/9 1048576 2097152 3 ${60 * 1024} {other}\n`,
  })
  // Said before anything is made.
  expect(await exec('--map', 'f/three:allocate=1M', '--', 'echo', '{map2.fd}')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/\{map2\.fd\}: there is no such --map/),
  })
  await expect(broker.get('f/three')).rejects.toMatchObject({ code: 'NotFound' })
})

test('a service waits longer than a person for a broker that is busy', async () => {
  process.kill(server.pid, 'SIGSTOP')
  const runs = [
    exec('--map', 'late/ram', '--allocate', '64K', '--', 'true'),
    ctl(server.socket, 'allocate', 'late/state', '64K'),
  ]
  // Beyond what a person at a terminal waits.
  await sleep(5_500)
  process.kill(server.pid, 'SIGCONT')
  expect(await Promise.all(runs)).toMatchObject([{ code: 0 }, { code: 0 }])
})
