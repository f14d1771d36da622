/**
 * Proves that `broker-ctl exec` puts memory at a path for the command alone, that who opens it there holds it as any holder
 * does, and that it refuses every place where memory would hide or replace something.
 */
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startWithTenants, tenant } from '../program/tenants'
import { attempt, type Ended } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { TestBroker, until } from '../support/test-broker'
import { ctlMain, startCtl } from './support/ctl'

const MiB = 2 ** 20
let broker: TestBroker
let folder: string
let place: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-path-'))
  place = path.join(folder, 'memory')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Runs a shell's script with memory at the place. */
const script = (text: string, spec = `one:path=${place},allocate=1M`) =>
  attempt(process.execPath, [ctlMain, 'exec', '--map', spec, '--', 'sh', '-c', text], {
    cwd: folder,
    env: { ...process.env, MEMBROKER_SOCKET: broker.socket },
  })

const mounts = needsRoot('mount namespaces') ? describe : describe.skip

mounts('as root, memory in a file', () => {
  beforeEach(async () => {
    broker = await TestBroker.start({ main: { graceMs: 50 } })
  })
  afterEach(() => broker.dispose())

  test('is at its path for the command and its children, without a descriptor, and for nobody else', async () => {
    const { stdout, stderr } = await script(
      "exec 3<&-; sh -c 'printf continued | dd of=memory conv=notrunc status=none'; stat -c %s memory",
    )
    expect([stdout, stderr]).toEqual([`${MiB}\n`, ''])
    expect(readFileSync('/proc/self/mountinfo', 'latin1')).not.toContain(place)
    expect(readFileSync(place, 'latin1')).toBe('')
    expect((await script('head -c 9 memory')).stdout).toBe('continued')
  })

  test('mapped shared by its path, has all that the command has stored when it is killed, for the next command', async () => {
    const map = "import mmap, signal; file = open('memory', 'r+b'); memory = mmap.mmap(file.fileno(), 0);"
    const store = `${map} memory[4096:4100] = b'kept'; print(memory.size(), flush=True); signal.pause()`
    const { child, outcome } = startCtl(broker.socket, [
      ...[
        'exec',
        '--map',
        `one:path=${place},allocate=1M`,
        '--',
        'sh',
        '-c',
        `cd ${folder}; exec python3 -c "$0"`,
      ],
      store,
    ])
    await Promise.race([once(child.stdout!, 'data'), outcome])
    child.kill('SIGKILL')
    expect(await outcome).toMatchObject({
      signal: 'SIGKILL',
      stdout: expect.stringContaining(`${MiB}`),
      stderr: '',
    })
    expect((await script(`exec 3<&-; exec python3 -c "${map} print(memory[4096:4100])"`)).stdout).toBe(
      "b'kept'\n",
    )
  })

  test('can be neither removed nor renamed nor replaced, and the size that it had comes back', async () => {
    const { stdout, stderr } = await script(
      'rm memory || echo kept; mv memory other || echo kept; touch other; mv other memory || echo kept; ' +
        ': > memory; until [ $(stat -c %s memory) = 1048576 ]; do sleep 0.05; done; echo restored',
    )
    expect(stdout).toBe('kept\nkept\nkept\nrestored\n')
    expect(stderr.match(/busy/g)).toHaveLength(3)
  })

  test('is held by who opens it there: the release waits for that, and show names the process', async () => {
    const text = 'exec 3<&- 5<>memory; echo open; until [ -e go ]; do sleep 0.05; done'
    const { child, outcome } = startCtl(broker.socket, [
      ...['exec', '--map', `one:path=${place},allocate=1M`, '--', 'sh', '-c', `cd ${folder}; ${text}`],
    ])
    await Promise.race([once(child.stdout!, 'data'), outcome])
    const client = broker.client()
    expect(await client.call('Release', { name: 'one', graceMs: 0 })).toMatchObject({
      outcome: 'quarantined',
    })
    const { retired } = await client.call('GetStatus', {})
    expect(retired).toMatchObject([
      { allocation: 'one', bytes: MiB, holders: expect.arrayContaining([child.pid]) },
    ])
    writeFileSync(path.join(folder, 'go'), '')
    await outcome
    await until(
      async () => (await client.call('GetStatus', {})).retired.length === 0,
      'the memory to be free',
    )
  })

  test('is held by a child that stays in the background, after the claim has ended', async () => {
    const text =
      'exec 3<&-; (exec 5<>memory; echo open; exec >&- 2>&-; until [ -e go ]; do sleep 0.05; done) & read x <fifo'
    await attempt('mkfifo', ['fifo'], { cwd: folder })
    const { child, outcome } = startCtl(broker.socket, [
      ...['exec', '--map', `one:path=${place},allocate=1M`, '--', 'sh', '-c', `cd ${folder}; ${text}`],
    ])
    await Promise.race([once(child.stdout!, 'data'), outcome])
    writeFileSync(path.join(folder, 'fifo'), '\n')
    expect(await outcome).toMatchObject({ code: 0 })
    const client = broker.client()
    const holder = async () => (await client.call('GetAllocation', { name: 'one' })).allocation.holderPid
    await until(async () => (await holder()) == null, 'the claim to end')
    expect(await client.call('Release', { name: 'one', graceMs: 0 })).toMatchObject({
      outcome: 'quarantined',
    })
    writeFileSync(path.join(folder, 'go'), '')
    await until(
      async () => (await client.call('GetStatus', {})).retired.length === 0,
      'the memory to be free',
    )
  })

  test('for reading only is that at its path, too', async () => {
    await script('printf once > memory')
    const { stdout, stderr } = await script(
      'head -c 0 memory && echo readable; echo x 1<>memory',
      `one:path=${place},access=read`,
    )
    expect(stdout).toBe('readable\n')
    expect(stderr).toMatch(/Read-only/)
  })

  test('is found by the command in its arguments, with the size in MiB', async () => {
    const args = ['exec', '--map', `one:path=${place},allocate=3M`, '--', 'echo', '{map.path} {map.mib}']
    expect(await startCtl(broker.socket, args).outcome).toMatchObject({ stdout: `${place} 3\n`, stderr: '' })
  })

  test.each<[string, () => void, RegExp]>([
    ['a directory', () => mkdirSync(place), /is a directory/],
    ['a file with contents', () => writeFileSync(place, 'mine'), /has 4 bytes, which the memory would hide/],
    ['a link elsewhere', () => symlinkSync('/etc/passwd', place), /symbolic link to \/etc\/passwd/],
    ['a FIFO', () => void 0, /not a regular file/],
    ['another’s file', () => writeFileSync(place, ''), /belongs to uid 65534/],
  ])('%s is refused before anything is made', async (kind, prepare, message) => {
    prepare()
    if (kind === 'a FIFO') await attempt('mkfifo', [place])
    if (kind.startsWith('another')) await attempt('chown', ['65534', place])
    expect(await script('echo ran')).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(message),
    })
    expect((await broker.ask('ListAllocations', {})).allocations).toEqual([])
  })

  test('needs a folder that is there, and a path for itself', async () => {
    expect(await script('true', `one:path=${folder}/no/memory,allocate=1M`)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/can't be looked up/),
    })
    symlinkSync(folder, path.join(folder, 'same'))
    const maps = [place, path.join(folder, 'same/memory')].map((to, at) => `${at}:path=${to},allocate=1M`)
    const args = ['exec', '--map', maps[0]!, '--map', maps[1]!, '--', 'true']
    expect(await startCtl(broker.socket, args).outcome).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/another --map has/),
    })
  })
})

test('a sealed memfd is at its path by a link, and keeps its size', async () => {
  broker = await TestBroker.start({ main: { source: 'memfd' } })
  const { stdout, stderr } = await script(
    'printf continued 1<>memory; truncate -s 2M memory; stat -Lc %s memory',
  )
  expect(stdout).toBe(`${MiB}\n`)
  expect(stderr).toMatch(/Operation not permitted/)
  expect(readlinkSync(place)).toBe('/proc/self/fd/3')
  expect((await script('head -c 9 memory', `one:path=${place},fd=7`)).stdout).toBe('continued')
  expect(readlinkSync(place)).toBe('/proc/self/fd/7')
  await broker.dispose()
})

mounts('without privilege', () => {
  const run = async (owner: string): Promise<Ended> => {
    const tenants = await startWithTenants({ owner })
    const own = path.join(folder, 'own')
    mkdirSync(own)
    await attempt('chown', [String(tenant), own])
    chmodSync(folder, 0o755)
    const text = "sh -c 'printf continued 1<>memory'; head -c 9 memory; id -u"
    const spec = `one:path=${own}/memory,allocate=1M`
    try {
      return await attempt(
        'setpriv',
        [`--reuid=${tenant}`, `--regid=${tenant}`, '--clear-groups', process.execPath, ctlMain].concat([
          'exec',
          '--map',
          spec,
          '--',
          'sh',
          '-c',
          text,
        ]),
        { cwd: own, env: { ...process.env, MEMBROKER_SOCKET: tenants.broker.socket } },
      )
    } finally {
      await tenants.end()
    }
  }

  test('an owner with open_by_path has a link, which children follow to the descriptor that they inherit', async () => {
    expect(await run('open_by_path = true')).toMatchObject({ stdout: `continued${tenant}\n`, stderr: '' })
    expect(readlinkSync(path.join(folder, 'own/memory'))).toBe('/proc/self/fd/3')
    expect(lstatSync(path.join(folder, 'own/memory')).uid).toBe(tenant)
  })

  test('another owner reads why not', async () => {
    expect(await run('')).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(/open_by_path = true/),
    })
    expect(existsSync(path.join(folder, 'own/memory'))).toBe(false)
  })
})
