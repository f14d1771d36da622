/**
 * Proves that the wrapper for libvirt starts a domain only on memory that is the broker's, all of it and this domain's alone:
 * with the command lines that libvirt writes, and a real QEMU where one is to be started.
 */
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { requireQemu } from '../guest/require-qemu'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'
import { TestBroker } from '../support/test-broker'

const MiB = 2 ** 20
const ramBytes = 64 * MiB
const wrapper = path.join(packageRoot, 'docs/example/libvirt/qemu-membroker')
const ctl = path.join(packageRoot, 'dist/src/client/ctl/main.js')
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
  program('qemu', `printf '%s\\n' "$@" >"${path.join(folder, 'started')}"`)
  // By a process that is gone, so that the domain can claim it.
  for (const name of ['vm-n/ram', 'vm-a/ram'])
    attemptNow(process.execPath, [ctl, '--socket', broker.socket, 'allocate', name, String(ramBytes)])
})
afterAll(async () => {
  await broker.dispose()
  rmSync(folder, { recursive: true })
})

function run(args: readonly string[], { emulator = path.join(folder, 'qemu'), input = '' } = {}) {
  rmSync(path.join(folder, 'started'), { force: true })
  const { status, stdout, stderr } = attemptNow('sh', [wrapper, ...args], {
    input,
    env: {
      ...process.env,
      PATH: `${folder}:${process.env.PATH}`,
      MEMBROKER_SOCKET: broker.socket,
      QEMU: emulator,
    },
  })
  const started = existsSync(path.join(folder, 'started'))
    ? readFileSync(path.join(folder, 'started'), 'utf8')
    : undefined
  return { status, stdout, stderr, started }
}

const backend = (more: object = {}) =>
  JSON.stringify({
    'qom-type': 'memory-backend-file',
    id: 'pc.ram',
    'mem-path': '/var/lib/libvirt/qemu/ram/1-n/pc.ram',
    share: true,
    'x-use-canonical-path-for-ramblock-id': false,
    size: ramBytes,
    ...more,
  })
const named = ['-name', 'guest=n,debug-threads=on']
const machine = ['-machine', 'q35,usb=off,memory-backend=pc.ram']
const plain = [...named, ...machine, '-m', '64', '-object', backend()]

test('the domain that libvirt starts with shared file memory gets the allocation of its name', () => {
  const { status, started } = run(plain)
  expect(status).toBe(0)
  expect(started).toContain('"mem-path":"/proc/self/fd/99","align":2097152,')
  expect(started).not.toContain('/var/lib')
  // A single NUMA cell.
  const cell = ['-numa', 'node,nodeid=0,cpus=0-1,memdev=ram-node0']
  expect(run([...named, '-machine', 'q35', '-object', backend({ id: 'ram-node0' }), ...cell]).status).toBe(0)
})

test('the questions that libvirt asks of QEMU are passed on', () => {
  expect(run(['-S', '-no-user-config', '-nodefaults', '-machine', 'none,accel=tcg']).started).toContain(
    'none,accel=tcg',
  )
})

const twoCells = [0, 1].flatMap(node => [
  '-object',
  backend({ id: `ram-node${node}`, size: ramBytes / 2 }),
  '-numa',
  `node,nodeid=${node},cpus=${node},memdev=ram-node${node}`,
])

test.each<[string, string[], RegExp]>([
  ['two NUMA cells', [...named, '-machine', 'q35', ...twoCells], /more than one memory backend/],
  [
    'private memory',
    [...named, ...machine, '-object', backend({ share: false })],
    /<access mode='shared'\/>/,
  ],
  [
    'no word of sharing',
    [...named, ...machine, '-object', backend({ share: undefined })],
    /<access mode='shared'\/>/,
  ],
  [
    'a memfd',
    [...named, ...machine, '-object', backend({ 'qom-type': 'memory-backend-memfd' })],
    /<source type='file'\/>/,
  ],
  [
    'anonymous memory',
    [...named, ...machine, '-object', 'memory-backend-ram,id=pc.ram,size=64M'],
    /<source type='file'\/>/,
  ],
  ['no backend', [...named, '-machine', 'q35', '-m', '64'], /no memory backend/],
  [
    'a backend that nothing uses',
    [...named, '-machine', 'q35', '-object', backend()],
    /neither -machine nor -numa/,
  ],
  [
    'memory that QEMU discards',
    [...named, ...machine, '-object', backend({ 'discard-data': true })],
    /<discard\/>/,
  ],
  [
    'an escape',
    [...named, ...machine, '-object', backend({ share: false, id: 'x","share":true,"y":"' })],
    /an escape/,
  ],
  [
    'an NVDIMM',
    [...plain, '-device', '{"driver":"nvdimm","memdev":"memnvdimm0","id":"nvdimm0"}'],
    /a memory device/,
  ],
  ['a DIMM', [...plain, '-device', 'pc-dimm,node=0,memdev=memdimm0'], /a memory device/],
  ['-mem-path', [...plain, '-mem-path', '/dev/shm'], /-mem-path/],
  ['a configuration of its own', [...plain, '-readconfig', '/etc/qemu.conf'], /-readconfig/],
  [
    "another domain's memory by a comma",
    ['-name', 'guest=a,,b,debug-threads=on', ...machine, '-object', backend()],
    /a comma/,
  ],
  ['a comma at the end', ['-name', 'guest=a,,', ...machine, '-object', backend()], /a comma/],
  ['a second guest=', ['-name', 'guest=a,guest=n', ...machine, '-object', backend()], /a comma/],
  ['two names', ['-name', 'guest=a', ...named, ...machine, '-object', backend()], /two names/],
  ['options in a name', ['-name', 'guest=a/ram:fd=98', ...machine, '-object', backend()], /other characters/],
  ['a slash', ['-name', 'guest=../a', ...machine, '-object', backend()], /other characters/],
  ['a name without guest=', ['-name', 'a', ...machine, '-object', backend()], /guest=/],
  ['a backend of no domain', [...machine, '-object', backend()], /no named domain/],
])('%s: refused with a sentence, and nothing is started', (_, args, sentence) => {
  const { status, stderr, started } = run(args)
  expect([status, started]).toEqual([2, undefined])
  expect(stderr).toMatch(/^qemu-membroker: .*\. Nothing was started\.\n$/)
  expect(stderr).toMatch(sentence)
})

if (qemu !== undefined)
  test('what a real QEMU writes to the guest is in the allocation', () => {
    const machineOf = ['-machine', 'q35,memory-backend=pc.ram', '-accel', 'tcg', '-m', '64']
    const rest = ['-nodefaults', '-display', 'none', '-S', '-monitor', 'stdio']
    const loader = ['-device', 'loader,addr=0x100000,data=0x11223344,data-len=4']
    const args = [...named, ...machineOf, ...rest, '-object', backend({ prealloc: true }), ...loader]
    const { status, stderr } = run(args, { emulator: qemu, input: 'quit\n' })
    expect([status, stderr]).toEqual([0, ''])
    const words = readdirSync(broker.directory)
      .filter(name => name.startsWith('alloc-'))
      .map(name => readFileSync(path.join(broker.directory, name)).readUInt32LE(MiB))
    expect(words.sort()).toEqual([0, 0x11223344])
  })
else test('no QEMU: what a real one writes is left out', () => expect(process.env.CI).toBeFalsy())
