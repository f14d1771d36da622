/**
 * Proves that the verbs of broker-ctl do what they say on a real broker, for programs and for people, with the exit
 * codes of their help.
 */
import { once } from 'node:events'
import path from 'node:path'
import { buildProgram } from '../../src/client/ctl/program'
import { attempt } from '../support/child'
import { TestBroker } from '../support/test-broker'
import { ctl, ctlMain, startCtl } from './support/ctl'
import { Holder } from './support/holder'

let server: TestBroker

beforeAll(async () => {
  server = await TestBroker.start({ main: { graceMs: 500 } })
})
afterAll(() => server.dispose())

const run = (...args: string[]) => ctl(server.socket, ...args)

async function json(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await run(...args, '--json')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout)
}

test('an allocation through its life, as programs see it', async () => {
  // Proves that each verb does what it says, with bytes as integers.
  expect(await json('allocate', 'a/ram', '2M', '--align', '1MiB', '--metadata', '{"vm":1}')).toMatchObject({
    name: 'a/ram',
    bytes: 2 ** 21,
    alignBytes: 2 ** 20,
    metadata: { vm: 1 },
  })
  expect(await json('grow', 'a/ram', '3M')).toMatchObject({ bytes: 3 * 2 ** 20 })
  expect(await json('share', 'a/ram', '4242', '--write')).toMatchObject({
    shares: [{ uid: 4242, access: 'readWrite' }],
  })
  expect(await json('unshare', 'a/ram', '4242')).toMatchObject({ shares: [] })
  expect(await json('set-metadata', 'a/ram', '{"b":2}')).toMatchObject({ metadata: { b: 2 } })
  expect(
    ((await json('set-metadata', 'a/ram', '--remove')) as { metadata?: unknown }).metadata ?? null,
  ).toBeNull()
  expect(await json('list', 'a/')).toMatchObject([{ name: 'a/ram' }])
  expect(await json('show', 'a/ram')).toMatchObject({ allocation: { name: 'a/ram' }, mappings: [] })
  expect(await json('claim', '--prefix', 'a/')).toMatchObject([
    { name: 'a/ram', outcome: 'claimable', mappings: 0 },
  ])
  expect(await json('status')).toMatchObject({ allocations: 1, unclaimed: 1 })
  expect(await json('ranges')).toMatchObject([{ name: 'main', allocatedBytes: 3 * 2 ** 20 }])
  expect(await json('clients')).toMatchObject([{ command: expect.stringContaining('clients') }])
  const { stdout, code } = await run('release', 'a/ram', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toEqual({ name: 'a/ram', outcome: 'released' })
  expect(await json('list')).toEqual([])
})

test('people get aligned tables with units', async () => {
  // Proves the human side of the same verbs: columns, sizes, and no colour where no terminal is.
  await run('allocate', 'b/ram', '2M')
  const list = (await run('list')).stdout.split('\n')
  expect(list[0]).toMatch(/^NAME +RANGE +SIZE +UID +HOLDER +MAPPINGS +EXTENTS +VERDICT$/)
  expect(list[1]).toMatch(/^b\/ram +main +2 MiB +\d+ +- +0 +1 +\w+$/)
  expect((await run('show', 'b/ram')).stdout).toMatch(/^size +2 MiB \(2097152 bytes\)$/m)
  expect((await run('status')).stdout).toMatch(/^allocations +1, 1 of them unclaimed$/m)
  expect((await run('ranges')).stdout).toMatch(/^main +directory +online .* 64 MiB/m)
  await run('release', 'b/ram')
})

test('what a verb did is what it prints', async () => {
  // Proves that share shows the grant, claim that it only asks, and allocate no holder that ends with the command.
  const allocated = await run('allocate', 'g/ram', '1M')
  expect(allocated.stdout.split('\n')[1]).toMatch(/^g\/ram +main +1 MiB +\d+ +- +0 +1 +\w+$/)
  expect(await json('allocate', 'g/other', '1M')).toMatchObject({ holderPid: null })
  expect((await run('share', 'g/ram', '4242')).stdout).toBe('name    g/ram\nshares  uid 4242 read\n')
  expect((await run('share', 'g/ram', '4243', '--write')).stdout).toBe(
    'name    g/ram\nshares  uid 4242 read, uid 4243 readWrite\n',
  )
  expect((await run('unshare', 'g/ram', '4242')).stdout).toContain('shares  uid 4243 readWrite\n')
  expect((await run('unshare', 'g/ram', '4243')).stdout).toContain('shares  none\n')
  expect((await run('claim', '--prefix', 'g/')).stdout).toMatch(
    /^NAME .*\ng\/ram +claimable .*\ng\/other +claimable .*\n$/,
  )
  expect((await run('claim', '--prefix', 'nothing/')).stdout).toMatch(/^no allocation/)
  expect(await run('claim', 'nothing')).toMatchObject({ code: 1, stderr: expect.stringMatching(/NotFound/) })
  const taken = await run('allocate', 'g/ram', '1M')
  expect(taken).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /NameTaken: .*\nhint: all users .*hidden; the broker knows you as uid \d+\n$/,
    ),
  })
  await run('release', 'g/ram', 'g/other')
})

test('refusals and an absent broker have their exit codes', async () => {
  // Proves what scripts rely on, and that each failure is one plain line and a hint.
  const refused = await run('show', 'nothing')
  expect(refused).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^broker-ctl: NotFound: .*\n$/),
  })
  const asJson = await run('show', 'nothing', '--json')
  expect(JSON.parse(asJson.stderr)).toMatchObject({ error: 'NotFound', parameters: { name: 'nothing' } })
  const noSpace = await run('allocate', 'x', '10G')
  expect(noSpace).toMatchObject({ code: 1, stderr: expect.stringMatching(/NoSpace: .*10 GiB.*\nhint: /) })
  const absent = await ctl('/nonexistent/broker.sock', 'status')
  expect(absent).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/^broker-ctl: BrokerUnreachable: .*MEMBROKER_SOCKET/),
  })
  expect(await run('status', '--socket', '/nonexistent')).toMatchObject({ code: 3 })
})

test('every verb has examples and exit codes in its help', async () => {
  // Proves that help is there for each verb that exists now or is added later.
  const program = buildProgram()
  const verbs = program.commands.flatMap(verb => (verb.commands.length > 0 ? verb.commands : [verb]))
  for (const verb of verbs.filter(verb => !verb.name().startsWith('__'))) {
    let text = ''
    verb
      .configureOutput({
        writeOut: chunk => {
          text += chunk
        },
      })
      .outputHelp()
    expect(text).toMatch(/Examples:\n {2}broker-ctl /)
    expect(text).toMatch(/Exit codes:/)
    expect(text).toMatch(/--json/)
  }
  expect(await run('--help')).toMatchObject({ code: 0, stderr: '' })
  expect(await run('--version')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
  })
})

test('freeze refuses changes until thaw', async () => {
  // Proves the switch that operators throw before kexec.
  await run('freeze', 'kexec')
  expect(await run('allocate', 'x', '1M')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('Frozen: '),
  })
  await run('thaw')
  expect((await run('allocate', 'c/ram', '1M')).code).toBe(0)
  expect((await run('release', 'c/ram')).code).toBe(0)
})

test('watch writes one object per line until interrupted', async () => {
  // Proves the stream that other programs read, and exit code 130.
  const { child, outcome } = startCtl(server.socket, ['watch', '--json'])
  await once(child.stdout!, 'data')
  await run('allocate', 'd/ram', '1M')
  await run('release', 'd/ram')
  child.kill('SIGINT')
  const { code, stdout } = await outcome
  expect(code).toBe(130)
  const items = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  expect(items[0]).toMatchObject({ type: 'snapshot', again: false })
  const kinds = items.filter(({ event }) => event?.allocation === 'd/ram').map(({ event }) => event.kind)
  expect(kinds[0]).toBe('allocated')
  expect(kinds).toContain('released')
})

test("revoke takes another process' mapping back", async () => {
  // Proves that an operator's command reaches a holder's handlers.
  const holder = new Holder(
    server.socket,
    `const mapping = await (await broker.allocate({ name: 'e/ram', size: 4096 })).map()
    mapping.onRevoke(() => tell('asked'))
    tell(mapping.id)`,
  )
  const id = (await holder.next()) as number
  const { code, stdout } = await run('revoke', String(id))
  expect(await holder.next()).toBe('asked')
  expect(code).toBe(0)
  expect(stdout).toMatch(new RegExp(`^mapping ${id}: revoked$`, 'm'))
  await holder.end()
  await run('release', 'e/ram')
})

test('table dump reads the table of a running broker, and names what it can’t read', async () => {
  // Proves that the state can be seen without the broker's help, and never a secret's hash.
  await run('allocate', 'f/ram', '1M', '--secret-file', server.configFile)
  const file = path.join(server.directory, 'table')
  const dump = (await json('table', 'dump', file)) as { allocations: unknown[] }
  expect(dump.allocations).toMatchObject([{ name: 'f/ram', bytes: 2 ** 20, secret: true }])
  expect((await run('table', 'dump', file)).stdout).toMatch(/^f\/ram .* 1 MiB/m)
  expect(await run('table', 'dump', '/nonexistent')).toMatchObject({
    code: 1,
    stderr: 'broker-ctl: ENOENT: /nonexistent: no such file or directory\n',
  })
  expect(await run('table', 'dump', server.configFile)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('NotFormatted'),
  })
  await run('release', 'f/ram', '--secret-file', server.configFile)
})

test('an output that can’t be written is an error like any other', async () => {
  // Proves that a full disk under a redirected output goes unnoticed by neither a person nor a program.
  const toFull = (...args: string[]) =>
    attempt('sh', ['-c', 'exec "$0" "$@" > /dev/full', process.execPath, ctlMain, ...args])
  expect(await toFull('completion', 'bash')).toMatchObject({
    status: 1,
    stderr: "broker-ctl: ENOSPC: the output can't be written: no space left on device\n",
  })
  const { status, stderr } = await toFull('--json', 'completion', 'bash')
  expect({ status, error: JSON.parse(stderr) }).toEqual({
    status: 1,
    error: { error: 'ENOSPC', message: "the output can't be written: no space left on device" },
  })
})
