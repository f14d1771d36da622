/**
 * Proves that `broker-ctl -H` runs verbs on another host, by the ssh and sshd of the distribution: output, exit codes, input,
 * words that no shell may read, signals, and connections that break.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Command } from 'commander'
import { buildProgram } from '../../src/client/ctl/program'
import { quoted } from '../../src/client/ctl/remote'
import { Verb } from '../../src/client/ctl/verb'
import { attempt, run, runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { packageRoot } from '../support/package-root'
import { packagedProgram } from '../support/packaged-program'
import { TestBroker, until } from '../support/test-broker'
import { ctlMain, outcomeOf } from './support/ctl'

test.each(['sh', 'bash'])('%s passes on every word as it is', shell => {
  const words = [
    '',
    ' ',
    "it's",
    '\\',
    "\\'",
    '$(id)',
    '`id`',
    '"',
    '*',
    '~',
    '-n',
    'ä€',
    ';',
    '!',
    "a\\'b\\\\'",
    '#',
    '\t',
  ]
  const script = `printf '%s\\0' ${words.map(quoted).join(' ')}`
  expect(runNow(shell, ['-c', script]).split('\0').slice(0, -1)).toEqual(words)
})

test.each([
  '-oProxyCommand=id',
  '',
  'a b',
  '-',
  'user@',
  '@host',
  'user@-host',
  'a;b',
  '$(id)',
  'h\n',
  '[::1',
  'a/b',
])('%j is no host', async host => {
  const program = buildProgram()
  await expect(program.parseAsync(['-H', host, 'list'], { from: 'user' })).rejects.toThrow(
    /is not \[user@\]host/,
  )
})

describe('every verb', () => {
  /** Become a program with descriptors of this host, or end with the connection. */
  const staying = ['exec', 'libvirt-qemu', 'vm run']
  let bin: string
  beforeAll(() => {
    bin = mkdtempSync(path.join(tmpdir(), 'membroker-hosts-'))
    // As sshd does: the last word is a line for the user's shell.
    writeFileSync(path.join(bin, 'ssh'), '#!/bin/sh\nfor line; do :; done\nexec sh -c "$line"\n', {
      mode: 0o755,
    })
    writeFileSync(path.join(bin, 'broker-ctl'), `#!/bin/sh\nprintf '%s\\0' "$@"\n`, { mode: 0o755 })
  })
  afterAll(() => rmSync(bin, { recursive: true }))

  test.each(verbsOf(buildProgram()))('%s goes to the other host as it is, or stays', async (place, words) => {
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` }
    const said = await attempt(process.execPath, [ctlMain, '-H', 'there', ...words], { env })
    if (staying.includes(place))
      expect(said).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(/does not go/) })
    else
      expect(said).toMatchObject({
        status: 0,
        stdout: ['--end-with-input', ...words, ''].join('\0'),
        stderr: '',
      })
  })
})

/** Each verb that can be run, by its name and by words with what it needs. */
function verbsOf(command: Command, place: readonly string[] = []): Array<[string, string[]]> {
  const own = command.registeredArguments.filter(({ required }) => required)
  const args = own.map(argument => argument.argChoices?.[0] ?? (argument.name() === 'piece' ? '0+7' : '7'))
  const options = command.options.filter(({ mandatory }) => mandatory).flatMap(({ long }) => [long!, '7'])
  return [
    ...(command instanceof Verb
      ? [[place.join(' '), [...place, ...options, ...args]] as [string, string[]]]
      : []),
    ...command.commands.flatMap(child => verbsOf(child, [...place, child.name()])),
  ]
}

const suite = needsRoot('an sshd') ? describe : describe.skip

suite('by a real sshd', () => {
  let folder: string
  let broker: TestBroker
  let sshd: ChildProcess | undefined
  let said = ''

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'membroker-ssh-'))
    const [here, there] = [path.join(folder, 'here'), path.join(folder, 'there')]
    const server = await packagedProgram('sshd', path.join(folder, 'server'))
    const client = await packagedProgram('ssh', path.join(folder, 'client'))
    if (!server || !client) return
    const keygen = path.join(path.dirname(client), 'ssh-keygen')
    broker = await TestBroker.start()
    for (const key of ['host', 'user'])
      runNow(keygen, ['-q', '-t', 'ed25519', '-N', '', '-f', path.join(folder, key)])
    for (const place of [here, there]) mkdirSync(place)
    const verbs = path.join(folder, 'verbs')
    mkdirSync(verbs)
    write('there/broker-ctl', [
      '#!/bin/sh',
      `: > ${verbs}/$$`,
      `exec ${path.join(packageRoot, 'dist/program/broker-ctl.js')} "$@"`,
    ])
    chmodSync(path.join(there, 'broker-ctl'), 0o755)
    const port = await freePort()
    write('server.conf', [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${folder}/host`,
      `AuthorizedKeysFile ${folder}/user.pub`,
      'StrictModes no',
      'PermitRootLogin yes',
      `PidFile ${folder}/sshd.pid`,
      `SetEnv PATH=${there}:${path.dirname(process.execPath)}:/usr/bin:/bin MEMBROKER_SOCKET=${broker.socket}`,
    ])
    write('client.conf', [
      'Host there',
      'HostName 127.0.0.1',
      `Port ${port}`,
      `IdentityFile ${folder}/user`,
      `UserKnownHostsFile ${folder}/known`,
    ])
    write('known', [`[127.0.0.1]:${port} ${readFileSync(path.join(folder, 'host.pub'), 'latin1')}`])
    // The configuration by which an administrator would name the host.
    write('here/ssh', ['#!/bin/sh', `exec ${client} -F ${folder}/client.conf "$@"`])
    chmodSync(path.join(here, 'ssh'), 0o755)
    // sshd insists on a user and on a folder of its own.
    write('passwd', ['root:*:0:0::/root:/bin/sh', 'sshd:*:65533:65534::/:/bin/false'])
    write('shadow', ['root:*:1::::::', 'sshd:*:1::::::'])
    const prepare =
      `mount --bind ${folder}/passwd /etc/passwd && mount --bind ${folder}/shadow /etc/shadow && ` +
      `mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec ${server} -D -e -f ${folder}/server.conf`
    sshd = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', prepare], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    sshd.stderr!.setEncoding('utf8').on('data', text => {
      said += text
    })
    await until(() => said.includes('Server listening') || sshd!.exitCode !== null, 'sshd')
  })
  afterAll(async () => {
    if (sshd && sshd.exitCode === null) {
      sshd.kill()
      await once(sshd, 'exit')
    }
    await broker?.dispose()
    rmSync(folder, { recursive: true, force: true })
  })

  const write = (name: string, lines: readonly string[]) =>
    writeFileSync(path.join(folder, name), `${lines.join('\n')}\n`, { mode: 0o600 })

  const environment = () => ({
    ...process.env,
    PATH: `${folder}/here:${process.env.PATH}`,
    MEMBROKER_SOCKET: '/nowhere',
  })
  const main = path.join(packageRoot, 'dist/program/broker-ctl.js')
  const ctl = (args: string[], input = '') =>
    attempt(process.execPath, [main, '-H', 'there', ...args], { env: environment(), input })
  const start = (...args: string[]) => {
    const stdio: ['pipe', 'pipe', 'pipe'] = ['pipe', 'pipe', 'pipe']
    return spawn(process.execPath, [main, '-H', 'there', ...args], { env: environment(), stdio })
  }
  /** Living processes of broker-ctl on the other host. */
  const there = () =>
    readdirSync(path.join(folder, 'verbs')).filter(pid => {
      try {
        process.kill(Number(pid), 0)
        return true
      } catch {
        return false
      }
    })

  test('a verb says there what it says here, with the same exit code', async () => {
    if (!sshd) return
    expect([said, await ctl(['allocate', "it's $HOME;", '64K'])]).toMatchObject([
      expect.any(String),
      { status: 0, stderr: '' },
    ])
    const { stdout } = await ctl(['list', '--json'])
    expect(JSON.parse(stdout)).toMatchObject([{ name: "it's $HOME;" }])
    expect(stdout).toBe(await run(process.execPath, [main, '--socket', broker.socket, 'list', '--json']))
    expect(await ctl(['show', 'none'])).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringContaining('NotFound'),
    })
    const { status, stderr } = await ctl(['--json', 'show', 'none'])
    expect([status, JSON.parse(stderr)]).toMatchObject([1, { error: 'NotFound' }])
    expect(await ctl(['--socket', '/no/socket', 'list'])).toMatchObject({ status: 3 })
  })

  test('a secret goes there by standard input', async () => {
    if (!sshd) return
    expect(await ctl(['allocate', 'kept', '64K', '--secret-file', '-'], 'hush\n')).toMatchObject({
      status: 0,
    })
    expect(await ctl(['claim', 'kept', '--secret-file', '-'], 'hush\n')).toMatchObject({ status: 0 })
    expect(await ctl(['claim', 'kept', '--secret-file', '-'], 'loud\n')).toMatchObject({ status: 1 })
  })

  test('a reader that stops early is no failure', async () => {
    if (!sshd) return
    const child = start('watch')
    await once(child.stdout!, 'data')
    const exit = once(child, 'exit')
    child.stdout!.destroy()
    // ssh notices at one event, and the verb there at another.
    for (let round = 0; child.exitCode === null && round < 10; round++)
      await ctl(['allocate', `noticed-${round}`, '4K'])
    const [code] = await exit
    expect(code).toBe(0)
  })

  test.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)('%s here ends the verb there', async signal => {
    if (!sshd) return
    const child = start('watch')
    const outcome = outcomeOf(child as never)
    await once(child.stdout!, 'data')
    expect(there()).toHaveLength(1)
    child.kill(signal)
    const { code } = await outcome
    expect(code).toBe(signal === 'SIGKILL' ? null : 130)
    await until(() => there().length === 0, 'the verb there to end')
  })

  test.each([[], ['--json']])(
    'a connection that breaks in the middle is exit code 3 %s',
    async (...options) => {
      if (!sshd) return
      const child = start(...options, 'watch')
      const outcome = outcomeOf(child as never)
      await once(child.stdout!, 'data')
      for (const pid of sessions(sshd.pid!)) process.kill(pid, 'SIGKILL')
      const { code, stderr } = await outcome
      expect([code, stderr]).toEqual([3, expect.stringContaining('HostUnreachable')])
      if (options.length > 0) expect(JSON.parse(stderr)).toMatchObject({ error: 'HostUnreachable' })
      await until(() => there().length === 0, 'the verb there to end')
    },
  )

  test('a host that is not there is exit code 3', async () => {
    if (!sshd) return
    const { status, stderr } = await attempt(
      process.execPath,
      [main, '-H', 'nowhere.invalid', '--json', 'list'],
      {
        env: environment(),
      },
    )
    expect([status, JSON.parse(stderr)]).toMatchObject([
      3,
      { error: 'HostUnreachable', message: expect.stringContaining('nowhere') },
    ])
  })
})

/** The processes of sshd for connections. */
function sessions(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').map(Number)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
