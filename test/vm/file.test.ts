/**
 * Proves that the file of a VM is understood or refused before anything starts: every mistake by file, line and key, every
 * argument of QEMU's that would take the guest's memory away from the broker; and that deploy/vm.toml has every key.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import path from 'node:path'
import { qemuArguments, refusedArgument } from '../../src/client/ctl/vm/command-line'
import { defaults, vmSchema } from '../../src/client/ctl/vm/schema'
import { parseVmFile } from '../../src/client/ctl/vm/settings'
import { ctlMain } from '../client/support/ctl'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'

const MiB = 2 ** 20
const parse = (text: string) => parseVmFile(text, '/etc/membroker/vm/vm-1.toml', 'vm-1')
const memory = '[[memory]]\nbytes = "64MiB"\n'

function mistake(text: string): string {
  try {
    parse(text)
  } catch (error) {
    return (error as Error).message.replace('/etc/membroker/vm/', '')
  }
  return 'no mistake'
}

test('a file of the least has defaults for the rest', () => {
  expect(parse(memory)).toMatchObject({
    name: 'vm-1',
    qemu: 'qemu-system-x86_64',
    onStop: 'save',
    user: undefined,
    arguments: [],
    memory: [{ allocation: 'vm-1/ram', bytes: 64 * MiB, range: undefined }],
    state: { allocation: 'vm-1/state', bytes: 32 * MiB, range: undefined },
    startMs: 120_000,
    saveMs: 60_000,
    powerdownMs: 90_000,
  })
})

test('several memories are an allocation each, and the state lies with the first', () => {
  const { memory, state } = parse(
    '[[memory]]\nbytes = "1GiB"\nrange = "a"\nnode = 0\nalign = "2MiB"\n[[memory]]\nbytes = 4096\nrange = "b"\nnode = 1\n',
  )
  expect(memory).toEqual([
    { allocation: 'vm-1/ram-0', bytes: 2 ** 30, range: 'a', node: 0, alignBytes: 2 * MiB },
    { allocation: 'vm-1/ram-1', bytes: 4096, range: 'b', node: 1, alignBytes: undefined },
  ])
  expect(state.range).toBe('a')
})

test.each([
  ['[vm]\nuser = 7\n[[memory]]\nbytes = 1\n', 'vm-1.toml:2: vm.user must be a string'],
  ['[vm]\n\nusr = "x"\n[[memory]]\nbytes = 1\n', "vm-1.toml:3: unknown key 'usr' in vm"],
  ['[vm]\n', 'vm-1.toml:1: the file lacks [[memory]]'],
  ['memory = []\n[vm]\n', 'vm-1.toml:1: memory is empty: write [[memory]]'],
  ['[[memory]]\nrange = "a"\n', "vm-1.toml:1: memory lacks 'bytes'"],
  ['[[memory]]\nbytes = "64 potatoes"\n', 'vm-1.toml:2: memory.bytes must be a size'],
  ['[[memory]]\nbytes = 5000\n', 'vm-1.toml:2: bytes: 5000 is not a multiple of 4KiB'],
  [`${memory}[[memory]]\nbytes = "9999999PiB"\n`, "vm-1.toml:4: bytes: '9999999PiB' is not a size"],
  ['[[memory]]\nbytes = "3MiB"\nalign = "12KiB"\n', 'vm-1.toml:3: align: 12KiB is not a power of two'],
  [`[vm]\non_stop = "hope"\n${memory}`, 'vm-1.toml:2: vm.on_stop must be one of save, powerdown, quit'],
  [`${memory}[state]\nbytes = "4KiB"\n`, 'vm-1.toml:4: state.bytes must be at least 1MiB'],
  [`${memory}[deadline]\nsave_ms = 1\n`, 'vm-1.toml:4: deadline.save_ms must be >= 100'],
  [`[vm]\narguments = ["-m", "4G"]\n${memory}`, 'vm-1.toml:2: vm.arguments: -m is not for the file'],
  ['[vm\n', 'vm-1.toml:1: not TOML'],
])('%j: %s', (text, said) => {
  expect(mistake(text)).toMatch(new RegExp(`^${said.replace(/[.[\]()?*+]/g, '\\$&')}`))
})

test.each([
  ['-mem-path /dev/hugepages', 'mem-path'],
  ['--m 4G', 'm'],
  ['-S', 'S'],
  ['-daemonize', 'daemonize'],
  ['-incoming tcp:0:4444', 'incoming'],
  ['-readconfig /etc/qemu.conf', 'readconfig'],
  ['-runas nobody', 'runas'],
  ['-chroot /var/empty', 'chroot'],
  ['-run-with async-teardown=on,user=nobody', 'run-with'],
  ['-object memory-backend-ram,id=x,size=1G', 'object'],
  ['-object qom-type=memory-backend-file,id=x', 'object'],
  ['-object {"qom-type":"memory-backend-memfd","id":"x"}', 'object'],
  ['-machine q35,memory-backend=pc.ram', 'machine'],
  ['-M q35,memory.size=4G', 'M'],
  ['-numa node,memdev=x', 'numa'],
  ['-numa node,nodeid=1,mem=1G', 'numa'],
  ['-chardev socket,id=membroker-monitor,fd=7', 'chardev'],
])('%s is refused', (line, option) => {
  const args = ['-smp', '4', ...line.split(' ')]
  expect(refusedArgument(args)).toMatch(new RegExp(`^-${option}\\b.* is not for the file: `))
})

test.each([
  ['-smp 4,sockets=2 -numa cpu,node-id=0,socket-id=0 -numa dist,src=0,dst=1,val=20'],
  ['-object rng-random,id=rng0 -device virtio-rng-pci,rng=rng0'],
  ['-machine q35,kernel-irqchip=split -cpu host,+x2apic -qmp unix:/run/vm/qmp,server=on,wait=off'],
])('%s goes through as it is', line => {
  const args = line.split(' ')
  expect(refusedArgument(args)).toBe(undefined)
  const memory = [{ bytes: 4096 }, { bytes: 4096 }]
  // After the nodes that they may speak of.
  const whole = qemuArguments({ arguments: args, memory, resumes: undefined })
  expect(whole.slice(-args.length)).toEqual(args)
})

test('the command line has the memory, shared, and the machine type only where a guest goes on', () => {
  const one = qemuArguments({
    arguments: ['-machine', 'q35'],
    memory: [{ bytes: 64 * MiB }],
    resumes: undefined,
  })
  expect(one.join(' ')).toBe(
    '-chardev socket,id=membroker-monitor,fd=3 -mon chardev=membroker-monitor,mode=control -S -m 67108864b ' +
      '-object memory-backend-file,id=membroker-ram-0,size=67108864,mem-path={map.path},share=on,prealloc=off,align={map.align} ' +
      '-machine memory-backend=membroker-ram-0 -machine q35',
  )
  const two = qemuArguments({
    arguments: [],
    memory: [{ bytes: MiB }, { bytes: 2 * MiB }],
    resumes: { machine: 'pc-q35-7.2', runs: false },
  }).join(' ')
  expect(two).toContain(`-m ${3 * MiB}b`)
  expect(two).toContain('-numa node,nodeid=0,memdev=membroker-ram-0')
  expect(two).toContain(
    'mem-path={map2.path},share=on,prealloc=off,align={map2.align} -numa node,nodeid=1,memdev=membroker-ram-1',
  )
  expect(two).toMatch(/-machine pc-q35-7\.2 -incoming defer$/)
})

const example = readFileSync(path.join(packageRoot, 'deploy/vm.toml'), 'utf8')
/** What is left out by default begins with # and no space; prose has one. */
const complete = example.replace(/^#(?! |$)/gm, '')

interface Schema {
  description?: string
  properties?: Record<string, Schema>
  items?: Schema
}
const tables = Object.entries((vmSchema as Schema).properties!)

test('deploy/vm.toml has every key under its table, and shows the defaults', () => {
  let table = ''
  const found = complete.split('\n').flatMap(line => {
    table = /^\[+(\w+)\]+$/.exec(line)?.[1] ?? table
    const [, key, value] = /^(\w+) = (.*)$/.exec(line) ?? []
    return key === undefined ? [] : [[`${table}.${key}`, value!] as const]
  })
  const keys = tables.flatMap(([name, { items, properties }]) =>
    Object.keys(items?.properties ?? properties!).map(key => `${name}.${key}`),
  )
  expect(found.map(([key]) => key).sort()).toEqual([...keys].sort())
  const shown = new Map(found)
  for (const [key, standard] of [
    ['vm.qemu', `"${defaults.qemu}"`],
    ['vm.on_stop', `"${defaults.onStop}"`],
    ['deadline.start_ms', String(defaults.startMs)],
    ['deadline.save_ms', String(defaults.saveMs)],
    ['deadline.powerdown_ms', String(defaults.powerdownMs)],
    ['deadline.answer_ms', String(defaults.answerMs)],
  ] as const)
    expect([key, shown.get(key)]).toEqual([key, standard])
  expect(parse(complete).state.bytes).toBe(defaults.stateBytes)
})

test('every error of a VM is in the guide', () => {
  const code = [
    ...readdirSync(path.join(packageRoot, 'src/client/ctl/vm'))
      .filter(name => name.endsWith('.ts'))
      .map(name => `vm/${name}`),
    'verb/vm.ts',
  ]
    .map(name => readFileSync(path.join(packageRoot, 'src/client/ctl', name), 'utf8'))
    .join('\n')
  const raised = [
    ...code.matchAll(/(?:new Failure\(|failureOf\((?:this\.)?process,)\s*'([A-Z]\w+)'/g),
    ...code.matchAll(/const code = .*\? '([A-Z]\w+)' : '[A-Z]\w+'/g),
  ].map(([, name]) => name!)
  const guide = readFileSync(path.join(packageRoot, 'docs/vm.md'), 'utf8').split('## Errors')[1]!
  expect(raised.length).toBeGreaterThan(15)
  // Failed: whatever a verb that it runs has to say.
  expect([...new Set(raised)].filter(name => name !== 'Failed' && !guide.includes(`\`${name}\``))).toEqual([])
})

describe('broker-ctl vm check', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'membroker-vm-file-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const check = (name: string, text: string, ...options: string[]) => {
    const file = path.join(folder, name)
    writeFileSync(file, text)
    return attemptNow(process.execPath, [ctlMain, 'vm', 'check', file, ...options])
  }

  test.each([
    ['as it is', example],
    ['with every line in use', complete],
  ])('finds the example good %s', (_, text) => {
    // This machine need not have the user and QEMU that the example names.
    const here = text
      .replace(/^user = .*$/m, `user = "${userInfo().username}"`)
      .replace(/^arguments/m, `qemu = "${process.execPath}"\narguments`)
      .replace(/^qemu = "qemu-system-x86_64"\n/m, '')
    const { status, stdout, stderr } = check('vm-1.toml', here)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/memory +vm-1\/ram: 4 GiB/)
    expect(stdout).toMatch(/ -m 4294967296b .*-machine q35 -accel kvm /)
  })

  test('says what is wrong, where, and ends with 2', () => {
    const user = check('vm-1.toml', `[vm]\nuser = "nobody-of-that-name"\n${memory}`)
    expect(user).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/NoSuchUser: .*vm-1\.toml:2: user: no user is called 'nobody-of/),
    })
    const qemu = check('vm-1.toml', `[vm]\n\nqemu = "no-such-qemu"\n${memory}`)
    expect(qemu).toMatchObject({
      status: 127,
      stderr: expect.stringMatching(
        /CommandNotFound: .*vm-1\.toml:3: qemu: there is no command "no-such-qemu"/,
      ),
    })
    const line = check('vm-1.toml', `[vm]\n${memory}\nlines = 1\n`, '--json')
    expect(line.status).toBe(2)
    expect(JSON.parse(line.stderr)).toMatchObject({
      error: 'VmFileInvalid',
      message: `${path.join(folder, 'vm-1.toml')}:5: unknown key 'lines' in memory`,
    })
    expect(check('of two words.toml', memory)).toMatchObject({ status: 2, stdout: '' })
    expect(
      attemptNow(process.execPath, [ctlMain, 'vm', 'check', path.join(folder, 'absent.toml')]),
    ).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/NoSuchVm: .*absent\.toml/),
    })
  })
})
