/**
 * Proves that membroker-qemu, a libvirt domain's emulator, starts a domain only on memory that is the broker's, all of it and this
 * domain's alone: with the command lines that libvirt writes, and a real QEMU where one is to be started.
 */
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import type { Failure } from '../../src/client/ctl/exit'
import { readDomain } from '../../src/client/ctl/libvirt/domain'
import { requireQemu } from '../guest/require-qemu'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'
import { TestBroker } from '../support/test-broker'

const MiB = 2 ** 20
const ramBytes = 8 * MiB
const ctl = path.join(packageRoot, 'dist/program/broker-ctl.js')
const qemu = requireQemu()

let broker: TestBroker
let folder: string

beforeAll(async () => {
  broker = await TestBroker.start()
  folder = mkdtempSync('/tmp/mb-libvirt-')
  const program = (name: string, text: string) => {
    writeFileSync(path.join(folder, name), `#!/bin/sh\n${text}\n`)
    chmodSync(path.join(folder, name), 0o755)
  }
  program('broker-ctl', `exec "${process.execPath}" "${ctl}" "$@"`)
  program('recorder', `printf '%s\\n' "$@" >"${path.join(folder, 'started')}"`)
  for (const name of ['membroker-recorder', 'membroker-qemu-system-x86_64', 'membroker-missing', 'nameless'])
    symlinkSync(path.join(packageRoot, 'deploy/membroker-qemu'), path.join(folder, name))
})
afterAll(async () => {
  await broker.dispose()
  rmSync(folder, { recursive: true })
})

/** As libvirt starts it; the recorder takes QEMU's place. */
function run(args: readonly string[], { emulator = 'membroker-recorder', input = '' } = {}) {
  rmSync(path.join(folder, 'started'), { force: true })
  const { status, stdout, stderr } = attemptNow(path.join(folder, emulator), args, {
    input,
    env: { ...process.env, PATH: `${folder}:${process.env.PATH}`, MEMBROKER_SOCKET: broker.socket },
  })
  const started = existsSync(path.join(folder, 'started'))
    ? readFileSync(path.join(folder, 'started'), 'utf8').trimEnd().split('\n')
    : undefined
  return { status, stdout, stderr, started }
}

/** What broker-ctl prints with --json. */
function ask(...args: string[]) {
  const { stdout, stderr } = attemptNow(process.execPath, [ctl, '--socket', broker.socket, '--json', ...args])
  return JSON.parse(stdout || stderr)
}
const names = () => (ask('list') as Array<{ name: string }>).map(({ name }) => name)

function thrown(action: () => unknown): Failure {
  try {
    action()
  } catch (error) {
    return error as Failure
  }
  throw new Error('it was not refused')
}

const uuids = ['70265d23-1753-485c-82c0-d5d3f4266dc4', '70265d23-1753-485c-82c0-d5d3f4266dc5'] as const
const file = (name: string) => `/var/lib/libvirt/qemu/ram/1-n/${name}`
const backend = (more: object = {}) =>
  JSON.stringify({
    'qom-type': 'memory-backend-file',
    id: 'pc.ram',
    'mem-path': file('pc.ram'),
    share: true,
    'x-use-canonical-path-for-ramblock-id': false,
    size: ramBytes,
    ...more,
  })
const named = (name: string, uuid: string = uuids[0]) => [
  '-name',
  `guest=${name},debug-threads=on`,
  '-uuid',
  uuid,
]
const machine = ['-machine', 'q35,usb=off,memory-backend=pc.ram']
const domain = (name: string, uuid?: string) => [
  ...named(name, uuid),
  ...machine,
  '-m',
  '64',
  '-object',
  backend(),
]
const plain = domain('n')
const cells = (more: object = {}, first = 0) =>
  [first, 1].flatMap((node, index) => [
    '-object',
    backend({
      id: `ram-node${node}`,
      'mem-path': file(`ram-node${node}`),
      size: ramBytes / 2,
      ...(index ? more : {}),
    }),
    '-numa',
    `node,nodeid=${node},cpus=${node},memdev=ram-node${node}`,
  ])

test('a domain gets the allocation of its name, made by its first start, and the next start gets the same memory', () => {
  for (const round of [1, 2]) {
    const { status, stderr, started } = run(plain)
    expect([round, status, stderr]).toEqual([round, 0, ''])
    expect(started).toEqual([
      ...plain.slice(0, -1),
      backend({ 'mem-path': '/proc/self/fd/3', align: 2 * MiB }),
    ])
  }
  expect(ask('show', 'vm-n/ram').allocation).toMatchObject({
    bytes: ramBytes,
    metadata: { vm: 'n', uuid: uuids[0], generation: expect.stringMatching(/^[\da-f-]{36}$/) },
  })
})

test('each NUMA cell gets an allocation of its own', () => {
  const { status, stderr, started } = run([...named('cells'), '-machine', 'q35', ...cells()])
  expect([status, stderr]).toEqual([0, ''])
  expect(started!.join('\n')).toMatch(
    /ram-node0","mem-path":"\/proc\/self\/fd\/3"(?:.*\n)*.*ram-node1","mem-path":"\/proc\/self\/fd\/4"/,
  )
  expect(names()).toEqual(expect.arrayContaining(['vm-cells/ram-0', 'vm-cells/ram-1']))
  // A single cell is the domain's only memory.
  const [object, value, numa, cell] = cells() as [string, string, string, string]
  expect(run([...named('cell'), '-machine', 'q35', object, value, numa, cell]).status).toBe(0)
  expect(names()).toContain('vm-cell/ram')
})

test("QEMU's older form of an object is as good", () => {
  const old = `memory-backend-file,id=pc.ram,mem-path=/ram/1-a,,b/pc.ram,share=yes,size=${ramBytes}`
  const { status, stderr, started } = run([...named('old'), ...machine, '-object', old])
  expect([status, stderr]).toEqual([0, ''])
  expect(started!.at(-1)).toBe(
    `qom-type=memory-backend-file,id=pc.ram,mem-path=/proc/self/fd/3,share=yes,size=${ramBytes},align=2097152`,
  )
})

test('the questions that libvirt asks of QEMU are passed on, without a broker', () => {
  const args = ['-S', '-no-user-config', '-nodefaults', '-nographic', '-machine', 'none,accel=kvm:tcg']
  const more = ['-qmp', 'unix:/x,server=on,wait=off', '-pidfile', '/y', '-daemonize']
  expect(run([...args, ...more]).started).toEqual([...args, ...more])
})

test('descriptors that libvirt has opened for QEMU keep their numbers', () => {
  const text = path.join(folder, 'text')
  writeFileSync(text, 'from libvirt')
  const script = `exec 3<"${text}" 11<"${text}"; exec "$@"`
  const reader = path.join(folder, 'reader')
  writeFileSync(
    reader,
    '#!/bin/sh\ncat <&3; cat /proc/self/fd/11; echo; env test -e /proc/self/fd/10 || echo no script; readlink /proc/self/fd/4',
  )
  chmodSync(reader, 0o755)
  symlinkSync(path.join(packageRoot, 'deploy/membroker-qemu'), path.join(folder, 'membroker-reader'))
  const { stdout, stderr } = attemptNow(
    'bash',
    ['-c', script, '-', path.join(folder, 'membroker-reader'), ...plain],
    {
      env: { ...process.env, PATH: `${folder}:${process.env.PATH}`, MEMBROKER_SOCKET: broker.socket },
    },
  )
  expect([stderr, stdout]).toEqual([
    '',
    expect.stringMatching(/^from libvirtfrom libvirt\nno script\n.*\/alloc-/),
  ])
})

describe('memory of another machine', () => {
  test('domains with strange names get an allocation of their own each, and none of another', () => {
    const strange = [
      'n,ame',
      'n,guest=a',
      `q'uo"te`,
      'a:fd=98',
      '{map.path}',
      '$(id)',
      'ü',
      'a',
      'aa',
      '-a',
      '\\x',
    ]
    const before = names()
    for (const name of strange) {
      const { status, stderr } = run(domain(name.replaceAll(',', ',,')))
      expect([name, status, stderr]).toEqual([name, 0, ''])
    }
    expect(names().slice(before.length)).toEqual(strange.map(name => `vm-${name}/ram`))
  })

  test('a domain that has the name of another, or of a VM, does not get its memory', () => {
    run(domain('reborn'))
    const { status, stderr, started } = run(domain('reborn', uuids[1]))
    expect([status, started]).toEqual([1, undefined])
    expect(stderr).toContain(uuids[0])
    attemptNow(process.execPath, [ctl, '--socket', broker.socket, 'release', 'vm-reborn/ram'])
    expect(run(domain('reborn', uuids[1])).status).toBe(0)

    attemptNow(process.execPath, [
      ctl,
      '--socket',
      broker.socket,
      'allocate',
      'vm-file/ram',
      '8M',
      '--metadata',
      '{"vm":"vm-file","generation":"1"}',
    ])
    expect(run(domain('file')).stderr).toMatch(/vm-file.*broker-ctl vm/)
  })

  test('a VM of the same name as the allocation does not get the memory of a domain', () => {
    run(domain('twin'))
    writeFileSync(path.join(folder, 'vm-twin.toml'), '[vm]\n[[memory]]\nbytes = "8MiB"\n')
    const args = ['vm', 'run', 'vm-twin', '--directory', folder, '--socket', broker.socket]
    const { status, stderr } = attemptNow(process.execPath, [ctl, ...args], {
      env: { ...process.env, MEMBROKER_VM_RUNTIME: path.join(folder, 'run') },
    })
    expect([status, stderr]).toEqual([1, expect.stringContaining(`MemoryOfAnother: vm-twin/ram`)])
  })

  test('memory that an operator has made belongs to the first domain that starts on it, if it is large enough', () => {
    for (const [name, bytes] of [
      ['vm-made/ram', '8M'],
      ['vm-small/ram', '4M'],
    ] as const)
      attemptNow(process.execPath, [
        ctl,
        '--socket',
        broker.socket,
        'allocate',
        name,
        bytes,
        '--metadata',
        '{"by":"me"}',
      ])
    expect(run(domain('made')).status).toBe(0)
    expect(ask('show', 'vm-made/ram').allocation.metadata).toMatchObject({
      by: 'me',
      vm: 'made',
      uuid: uuids[0],
    })
    expect(run(domain('small')).stderr).toMatch(/MemorySize: .*4 MiB.*8 MiB.*grow/)
  })
})

const refused = domain('refused')

test.each<[string, string[], RegExp]>([
  [
    'private memory',
    [...named('refused'), ...machine, '-object', backend({ share: false })],
    /<access mode='shared'\/>/,
  ],
  [
    'no word of sharing',
    [...named('refused'), ...machine, '-object', backend({ share: undefined })],
    /<access mode='shared'\/>/,
  ],
  [
    'one private cell',
    [...named('refused'), '-machine', 'q35', ...cells({ share: false })],
    /ram-node1.*<cell>/,
  ],
  [
    'a memfd',
    [...named('refused'), ...machine, '-object', backend({ 'qom-type': 'memory-backend-memfd' })],
    /<source type='file'\/>/,
  ],
  [
    'one cell of a memfd',
    [...named('refused'), '-machine', 'q35', ...cells({ 'qom-type': 'memory-backend-memfd' })],
    /ram-node1/,
  ],
  [
    'anonymous memory',
    [...named('refused'), ...machine, '-object', 'memory-backend-ram,id=pc.ram,size=64M'],
    /<source type='file'\/>/,
  ],
  ['no backend', [...named('refused'), '-machine', 'q35', '-m', '64'], /no memory backend/],
  ['a backend that nothing uses', [...named('refused'), '-machine', 'q35', '-object', backend()], /a device/],
  ['shmem', [...refused, '-object', backend({ id: 'shmmem-x' })], /'shmmem-x' is that of a device/],
  ['SGX', [...refused, '-object', '{"qom-type":"memory-backend-epc","id":"memepc0","size":1}'], /SGX/],
  [
    'a DIMM',
    [...refused, '-object', backend({ id: 'memdimm0' }), '-device', 'pc-dimm,node=0,memdev=memdimm0'],
    /a device/,
  ],
  ['memory to be attached later', [...refused, '-m', 'size=65536k,slots=4,maxmem=1048576k'], /<maxMemory>/],
  [
    'memory that QEMU discards',
    [...named('refused'), ...machine, '-object', backend({ 'discard-data': true })],
    /<discard\/>/,
  ],
  [
    'huge pages',
    [...named('refused'), ...machine, '-object', backend({ 'mem-path': '/dev/hugepages/libvirt/qemu/1-n' })],
    /<hugepages\/>/,
  ],
  ['persistent memory', [...named('refused'), ...machine, '-object', backend({ pmem: true })], /pmem/],
  ['no size', [...named('refused'), ...machine, '-object', backend({ size: 'all' })], /no size/],
  [
    'a second share',
    [
      ...named('refused'),
      ...machine,
      '-object',
      `memory-backend-file,share=on,share=off,id=pc.ram,mem-path=/pc.ram,size=64M`,
    ],
    /share twice/,
  ],
  ['half JSON', [...named('refused'), ...machine, '-object', backend().slice(0, -1)], /JSON/],
  [
    'two memories of one cell',
    [...named('refused'), ...machine, '-object', backend(), ...cells()],
    /several memories/,
  ],
  ['-mem-path', [...refused, '-mem-path', '/dev/hugepages'], /-mem-path/],
  ['a configuration of its own', [...refused, '-readconfig', '/etc/qemu.conf'], /-readconfig/],
  ['two names', ['-name', 'guest=a', ...refused], /two names/],
  ['two names in one', ['-name', 'guest=a,guest=n', ...refused.slice(2)], /two names/],
  ['a slash', domain('../a'), /a slash/],
  ['no name', plain.slice(2), /no name/],
  ['no UUID', [...refused.slice(0, 2), ...refused.slice(4)], /no UUID/],
  ['a machine without a name that is not none', ['-machine', 'nonesuch'], /no name/],
])('%s: refused with a sentence', (_, args, sentence) => {
  const refusal = thrown(() => readDomain(args))
  expect(refusal).toMatchObject({ code: 'DomainRefused', exit: 2 })
  expect(refusal.message).toMatch(/^[^.]+(\.\.?[^.]+)*\. Nothing was started$/)
  expect(refusal.message).toMatch(sentence)
})

test('a refusal is the only line that it writes, starts nothing and makes no memory', () => {
  const { status, stdout, stderr, started } = run([...domain('refused'), '-mem-path', '/dev/hugepages'])
  expect([status, stdout, started]).toEqual([2, '', undefined])
  expect(stderr).toMatch(/^broker-ctl: DomainRefused: -mem-path .* Nothing was started\n$/)
  expect(names()).not.toContain('vm-refused/ram')
})

test('a name that the broker does not take, and bytes that are not text', () => {
  expect(run(domain('a\nb')).stderr).toContain('InvalidArgument')
  expect(run(domain('\ufffd')).stderr).toContain('not UTF-8')
})

test.each([
  ['membroker-missing', 127, /no QEMU has the name/],
  ['nameless', 127, /no QEMU has the name/],
])('%s, of which nobody knows the QEMU, says so', (emulator, code, sentence) => {
  const { status, stderr } = run(plain, { emulator })
  expect(status).toBe(code)
  expect(stderr).toMatch(sentence)
})

if (qemu !== undefined)
  test('what a real QEMU writes to the guest is in the allocation', () => {
    const machineOf = ['-machine', 'q35,memory-backend=pc.ram', '-accel', 'tcg', '-m', '64']
    const rest = ['-nodefaults', '-display', 'none', '-S', '-monitor', 'stdio']
    const loader = ['-device', 'loader,addr=0x100000,data=0x11223344,data-len=4']
    const args = [
      ...named('real'),
      ...machineOf,
      ...rest,
      '-object',
      backend({ prealloc: true, size: 64 * MiB }),
      ...loader,
    ]
    const { status, stderr } = run(args, { emulator: 'membroker-qemu-system-x86_64', input: 'quit\n' })
    expect([status, stderr]).toEqual([0, ''])
    const words = readdirSync(broker.directory)
      .filter(name => name.startsWith('alloc-'))
      .map(name => readFileSync(path.join(broker.directory, name)).readUInt32LE(MiB))
    expect(words.filter(word => word === 0x11223344)).toHaveLength(1)
  })
else test('no QEMU: what a real one writes is left out', () => expect(process.env.CI).toBeFalsy())
