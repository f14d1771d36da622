/** Proves that `reserve`, `preflight` and `doctor` print what people and programs can use as it stands. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { attempt } from '../../support/child'
import { packageRoot } from '../../support/package-root'
import { TestBroker } from '../../support/test-broker'
import { ctl } from '../support/ctl'
import { kernelFile } from '../support/kernel-file'
import { machineFile } from './machines'

let folder: string
let config: string
let broker: TestBroker

beforeAll(async () => {
  broker = await TestBroker.start({ main: {} })
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-host-verbs-'))
  config = path.join(folder, 'guests.toml')
  writeFileSync(
    config,
    `[broker]
socket = "${folder}/no/broker.sock"
[[range]]
name = "guests"
source = "devdax"
base = "0x3f0000000000"
bytes = "1GiB"
[[range]]
name = "raw"
source = "devmem"
base = 4398046511104
bytes = "64MiB"
[[range]]
name = "pages"
source = "memfd"
huge_page = "2MiB"
bytes = "8MiB"
`,
  )
})
afterAll(async () => {
  await broker.dispose()
  rmSync(folder, { recursive: true })
})

const run = (...args: string[]) => ctl(broker.socket, ...args)
const daemon = (...args: string[]) =>
  attempt(process.execPath, [path.join(packageRoot, 'dist/program/membrokerd.js'), ...args])
const good =
  'memmap=1G$0x3f0000000000 memmap=1G%0x3f0000000000-2+0xefffffff memmap=64M$4T dax_hmem.region_idle=1'

test('reserve prints blocks to copy for people, and bytes for programs', async () => {
  // Proves that both forms name the same memory, and that the shell gets the line whole.
  const asked = ['reserve', '--size', '64G', '--node', '1', '--name', 'vms']
  const from = [
    '--memory-map',
    machineFile('two-socket-512g.iomem'),
    '--nodes',
    machineFile('two-socket-512g.zoneinfo'),
  ]
  const { code, stdout, stderr } = await run(...asked, ...from)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const plan = JSON.parse((await run(...asked, ...from, '--json')).stdout)
  expect(plan).toMatchObject({
    kind: 'devdax',
    base: 258 * 2 ** 30,
    bytes: 64 * 2 ** 30,
    node: 1,
    align: 2 ** 30,
  })
  const line = plan.parameters.join(' ')
  expect(line).toBe('memmap=64G$0x4080000000 memmap=64G%0x4080000000-2+0xefffffff dax_hmem.region_idle=1')
  expect(stdout).toContain(`--reuse-cmdline --append='${line}'`)
  expect(stdout).toContain(`\n${plan.grub}\n`)
  expect(stdout).toContain('membrokerd --config /etc/membroker.toml --format vms')
  const toml = path.join(folder, 'proposed.toml')
  writeFileSync(toml, plan.toml)
  const { stdout: read } = await daemon('--config', toml, '--check', '--json')
  expect(JSON.parse(read).ranges).toMatchObject([
    { name: 'vms', source: 'devdax', base: plan.base, bytes: plan.bytes },
  ])
})

test('what reserve proposes for devmem is a configuration too', async () => {
  // Proves that the other kind is as complete.
  const args = [
    'reserve',
    '--size',
    '1G',
    '--kind',
    'devmem',
    '--memory-map',
    machineFile('vm-4g.iomem'),
    '--json',
  ]
  const plan = JSON.parse((await run(...args)).stdout)
  expect(plan.parameters).toEqual(['memmap=1G$0x40000000'])
  writeFileSync(path.join(folder, 'devmem.toml'), plan.toml)
  const { stdout } = await daemon('--config', path.join(folder, 'devmem.toml'), '--check', '--json')
  expect(JSON.parse(stdout).ranges).toMatchObject([{ source: 'devmem', base: 2 ** 30, bytes: 2 ** 30 }])
})

test('memory that the firmware has marked is pointed out', async () => {
  // Proves that nobody takes ordinary memory away from a host that has some for the purpose.
  const { stdout } = await run('reserve', '--size', '1G', '--memory-map', machineFile('efi-holes.iomem'))
  expect(stdout).toMatch(/^note: 0x470000000-0x86fffffff is soft-reserved already/m)
})

test('what CXL drivers take is told from what is free for a range, and never chosen', async () => {
  // Proves that entries below others are seen: a kernel that has loaded the drivers shows them so.
  const { stdout } = await run('reserve', '--size', '8G', '--memory-map', machineFile('cxl.iomem'))
  expect(stdout).toMatch(/^memory +0x100000000-0x2ffffffff/m)
  expect(stdout).toMatch(
    /^note: 0x1050000000-0x304fffffff is soft-reserved, and in CXL Window 0: the CXL drivers take it/m,
  )
  expect(stdout).toMatch(
    /^note: 0x3050000000-0x404fffffff is soft-reserved already: a devdax range there needs no memmap=/m,
  )
  const tooMuch = await run('reserve', '--size', '70G', '--memory-map', machineFile('cxl.iomem'))
  expect(tooMuch.stderr).toMatch(/the largest has/)
})

test.each([
  ['no map', ['--size', '1G', '--memory-map', '/nowhere'], 1, /ENOENT.*\/nowhere/],
  [
    'a map of something else',
    ['--size', '1G', '--memory-map', '/proc/meminfo'],
    1,
    /not of the form of \/proc\/iomem/,
  ],
  [
    'nodes of something else',
    ['--size', '1G', '--memory-map', machineFile('vm-4g.iomem'), '--nodes', '/proc/meminfo'],
    1,
    /no copy of \/proc\/zoneinfo/,
  ],
  ['nodes without a map', ['--size', '1G', '--nodes', '/proc/zoneinfo'], 2, /--nodes goes with --memory-map/],
  [
    'too much',
    ['--size', '4G', '--memory-map', machineFile('vm-4g.iomem')],
    1,
    /NotReserved: no stretch of memory of 4 GiB/,
  ],
  ['no size', [], 2, /--size/],
  ['a name that is none', ['--size', '1G', '--name', 'a"\nb'], 2, /no name of a range/],
  ['no kind', ['--size', '1G', '--kind', 'ram'], 2, /devdax, devmem/],
])('reserve with %s ends with a sentence', async (_what, args, code, reason) => {
  // Proves that bad input is named, with the exit code that --help lists.
  const outcome = await run('reserve', ...args)
  expect([outcome.code, outcome.stdout]).toEqual([code, ''])
  expect(outcome.stderr).toMatch(reason)
})

test('preflight --kernel goes by the release that the image says, where the kernel preserves memory', async () => {
  const preserved = path.join(folder, 'preserved.toml')
  writeFileSync(
    preserved,
    '[[range]]\nname = "kept"\nsource = "memfd"\nbytes = "1GiB"\npreserve = "always"\n',
  )
  const image = kernelFile(folder, 'vmlinuz', '9.9.9-other')
  const asked = ['preflight', '--config', preserved, '--append', 'kho=on liveupdate=on', '--kernel', image]
  const { code, stdout } = await run(...asked)
  expect([code, stdout]).toEqual([
    4,
    expect.stringMatching(/^LOST +kept: the next kernel is 9\.9\.9-other,/m),
  ])
  const vouched = await run(...asked, '--same-format')
  expect([vouched.code, vouched.stdout]).toEqual([0, expect.stringContaining('9.9.9-other')])
})

test('preflight refuses with a code of its own, and lets through what keeps the ranges', async () => {
  // Proves what a script in front of kexec relies on, both ways.
  const bad = await run('preflight', '--config', config, '--append', good.replace('+0xefffffff', ''))
  expect([bad.code, bad.stderr]).toEqual([4, ''])
  expect(bad.stdout).toMatch(/^LOST +guests: .*\n(.*\n)*Do not boot this/)
  const { code, stdout } = await run('preflight', '--config', config, '--append', good, '--json')
  const { good: kept, commandLine, ranges, findings } = JSON.parse(stdout)
  expect({ code, kept, commandLine, ranges }).toEqual({
    code: 0,
    kept: true,
    commandLine: good,
    ranges: ['guests', 'raw'],
  })
  // Of this machine's memory nothing is at these addresses, where its firmware can be asked.
  const others = findings.filter(({ id }: { id: string }) => id !== 'noMemory')
  expect(others).toMatchObject([{ range: 'pages', result: 'warning', id: 'volatile' }])
})

test.each([
  ['no configuration', ['--config', '/nowhere.toml'], /\/nowhere\.toml/],
  ['no modules', ['--config', '@', '--modules', '/nowhere'], /there is no \/nowhere/],
  ['a folder without modules', ['--config', '@', '--modules', '/proc/self/fd'], /there are no modules/],
  [
    'no build configuration',
    ['--config', '@', '--kernel-config', '/nowhere'],
    /--kernel-config: \/nowhere: no such file/,
  ],
])('preflight with %s is wrong usage, and never taken for a good line', async (_what, args, reason) => {
  // Proves that a script does not go on where nothing was looked at.
  const { code, stderr } = await run('preflight', ...args.map(arg => (arg === '@' ? config : arg)))
  expect(code).toBe(2)
  expect(stderr).toMatch(reason)
})

test('the doctor sees a running broker, and the folder of its socket', async () => {
  // Proves that what a broker says of its ranges is looked at, and that others may not put a socket in its place.
  const healthy = JSON.parse((await run('doctor', '--config', broker.configFile, '--json')).stdout)
  const of = (report: typeof healthy, id: string) =>
    report.checks.filter((check: { id: string }) => check.id === id)
  expect(of(healthy, 'broker')).toMatchObject([{ result: 'good' }])
  expect(of(healthy, 'rangeState')).toMatchObject([{ range: 'main', result: 'good' }])
  expect(of(healthy, 'configuration')).toMatchObject([{ result: 'good' }])
  expect(of(healthy, 'socketFolder')).toMatchObject([{ result: 'good' }])
  chmodSync(broker.folder, 0o777)
  try {
    const { code, stdout } = await run('doctor', '--config', broker.configFile, '--json')
    expect(code).toBe(5)
    expect(of(JSON.parse(stdout), 'socketFolder')).toMatchObject([
      { result: 'bad', repair: `chmod go-w ${broker.folder}` },
    ])
  } finally {
    chmodSync(broker.folder, 0o700)
  }
})

test('the doctor looks at the broker that the environment names, unless a configuration is named', async () => {
  const { checks } = JSON.parse((await run('doctor', '--json')).stdout)
  expect(checks.find((check: { id: string }) => check.id === 'broker')).toMatchObject({
    result: 'good',
    finding: expect.stringContaining(broker.socket),
  })
})

test('the doctor looks for an fd store where there are memfds, and finds none where no unit is', async () => {
  // Proves that the doctor proposes no repair to a broker that somebody has started by hand, and that can have no fd store.
  const sealed = await TestBroker.start({ main: { source: 'memfd', more: 'preserve = "always"\n' } })
  try {
    const { checks } = JSON.parse(
      (await ctl(sealed.socket, 'doctor', '--config', sealed.configFile, '--json')).stdout,
    )
    expect(checks).toContainEqual(expect.objectContaining({ id: 'fdStore', result: 'notApplicable' }))
    if (!existsSync('/dev/liveupdate'))
      expect(checks).toContainEqual({
        ...{
          id: 'preserved',
          range: 'main',
          result: 'warning',
          repair: expect.stringMatching(/broker-ctl recovery/),
        },
        finding: 'the kernel does not preserve all of it: a kexec loses its table',
      })
  } finally {
    await sealed.dispose()
  }
  const { checks } = JSON.parse((await run('doctor', '--config', broker.configFile, '--json')).stdout)
  expect(checks).not.toContainEqual(expect.objectContaining({ id: 'fdStore' }))
})

test('the doctor without broker or configuration goes on, and says so', async () => {
  // Proves that what is broken does not keep the rest from being seen.
  const { code, stdout } = await run('doctor', '--config', config)
  expect(code).toBe(5)
  expect(stdout).toMatch(/^BAD +region +guests: |^- +region +guests: only root/m)
  expect(stdout).toMatch(/^warning +broker +no broker answers.*\n +repair: systemctl start membroker$/m)
  const without = await run('doctor', '--config', '/nowhere.toml', '--json')
  expect(without.code).toBe(5)
  expect(JSON.parse(without.stdout).checks[0]).toMatchObject({ id: 'configuration', result: 'bad' })
})

test('the doctor restarts a broker that hangs', async () => {
  // Proves that the remedy is one: a unit that runs is not started.
  const socket = path.join(folder, 'hangs.sock')
  const hanging = createServer(() => {}).listen(socket)
  try {
    const { stdout } = await run('doctor', '--config', config, '--socket', socket)
    expect(stdout).toMatch(/^warning +broker +.*did not answer.*\n +repair: systemctl restart membroker$/m)
  } finally {
    hanging.close()
  }
})

test('a range that the running broker does not have is named', async () => {
  // Proves that a configuration which was changed and not taken up is seen.
  const changed = path.join(folder, 'changed.toml')
  mkdirSync(path.join(folder, 'more'))
  writeFileSync(
    changed,
    `[broker]\nsocket = "${broker.socket}"\n[[range]]\nname = "more"\nsource = "directory"\npath = "${folder}/more"\nbytes = "1MiB"\n`,
  )
  const { checks } = JSON.parse((await run('doctor', '--config', changed, '--json')).stdout)
  expect(checks).toContainEqual(
    expect.objectContaining({ id: 'rangeState', range: 'more', result: 'warning' }),
  )
})

test('membrokerd says what it has read, and nothing else with it', async () => {
  // Proves what other programs read of a configuration, and that a wrong one has the line as before.
  const { stdout } = await daemon('--config', config, '--check', '--json')
  expect(JSON.parse(stdout)).toEqual({
    socket: `${folder}/no/broker.sock`,
    ranges: [
      {
        name: 'guests',
        source: 'devdax',
        path: '',
        bytes: 2 ** 30,
        base: 0x3f00_0000_0000,
        hugePageBytes: 0,
        tableBytes: 2 ** 22,
      },
      {
        name: 'raw',
        source: 'devmem',
        path: '',
        bytes: 2 ** 26,
        base: 2 ** 42,
        hugePageBytes: 0,
        tableBytes: 2 ** 22,
      },
      {
        name: 'pages',
        source: 'memfd',
        path: '',
        bytes: 2 ** 23,
        base: null,
        hugePageBytes: 2 ** 21,
        huge_page: 2 ** 21,
        tableBytes: 2 ** 22,
      },
    ],
  })
  const wrong = path.join(folder, 'wrong.toml')
  writeFileSync(wrong, '[[range]]\nname = "a"\nsource = "devdax"\nbytes = "1GiB"\n')
  expect(await daemon('--config', wrong, '--check', '--json')).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringMatching(/wrong\.toml:1: a devdax range needs 'base'/),
  })
  expect(await daemon('--json')).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/--json goes with --check/),
  })
})
