/**
 * Proves that domains of two releases of libvirt run on memory of the broker by membroker-qemu: each on its own, which stays over all
 * that ends QEMU, libvirtd or the broker; and that what libvirt can't do by itself, going on from device state alone, works by hand.
 */
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'
import { counterAddress } from './counter-guest'
import { LibvirtHost, type Release, uid } from './libvirt-host'
import { requireQemu } from './require-qemu'

const MiB = 2 ** 20
const ramBytes = 16 * MiB
/** Where the guest does not write. */
const markAddress = 8 * MiB
const state = '/var/lib/libvirt/count.state'
const firmware = '/var/lib/libvirt/firmware'
const domainState = '/opt/membroker/docs/example/libvirt/domain-state'

const backing = "<memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>"
const emulator = '<emulator>/usr/local/bin/membroker-qemu-system-x86_64</emulator>'
const machine = `<os><type arch='x86_64' machine='pc'>hvm</type><loader readonly='yes' type='rom'>${firmware}</loader></os>`
/** The counter guest. */
const counting = (name: string, memory = backing) => `<memory unit='MiB'>16</memory>${memory}${machine}
  <cpu mode='custom' match='exact' check='none'><model fallback='allow'>qemu64</model><feature policy='disable' name='apic'/></cpu>
  <devices>${emulator}<serial type='file'><source path='/run/serial-${name}'/></serial></devices>`
const twoCells = `<memory unit='MiB'>8</memory>${backing}<vcpu>2</vcpu>${machine}
  <cpu><numa><cell id='0' cpus='0' memory='4' unit='MiB'/><cell id='1' cpus='1' memory='4' unit='MiB'/></numa></cpu>
  <devices>${emulator}</devices>`

interface Shown {
  allocation: { id: number; holderPid: number | null; metadata: object; bytes: number; uid: number }
  mappings: Array<{ id: number }>
  path: string
}

const possible = needsRoot('libvirt') && requireQemu() !== undefined

describe.each<[Release, RegExp]>(
  possible
    ? [
        ['bookworm', /libvirt 9\./],
        ['trixie', /libvirt 1[1-9]\./],
      ]
    : [],
)('libvirt of %s', (release, version) => {
  let host: LibvirtHost
  beforeAll(async () => {
    host = await LibvirtHost.boot(release)
    host.define('count', counting('count'))
  })
  afterAll(() => host?.dispose())

  const counters = (name = 'count') =>
    [...readFileSync(host.inside(`/run/serial-${name}`), 'latin1').matchAll(/^counter (\d+)\r?$/gm)].map(
      match => Number(match[1]),
    )
  const newest = (name = 'count') => counters(name).at(-1) ?? 0
  const show = (name = 'vm-count/ram') => host.ctl('show', name) as Shown
  const memory = <T>(use: (fd: number) => T): T => {
    const fd = openSync(host.inside(show().path), 'r+')
    try {
      return use(fd)
    } finally {
      closeSync(fd)
    }
  }
  const word = (address: number) =>
    memory(fd => {
      const buffer = Buffer.alloc(4)
      readSync(fd, buffer, 0, 4, address)
      return buffer.readUInt32LE()
    })
  /** In a QEMU that was started after a guest had counted to before. */
  const goesOn = async (before: number) => {
    await until(() => counters().length > 2, 'the guest')
    expect(counters()[0]).toBeGreaterThan(before)
  }
  const counts = async () => {
    const before = newest()
    await until(() => newest() > before + 2, 'the guest')
  }
  const boots = async () => {
    await until(() => counters().length > 2, 'the guest')
    expect(counters()[0]).toBe(1)
  }

  test('a domain starts on memory that its first start makes, and the guest is in it', async () => {
    expect(host.virsh('version')).toMatch(version)
    host.virsh('start', 'count')
    await boots()
    expect(show().allocation).toMatchObject({
      bytes: ramBytes,
      holderPid: Number(readFileSync(host.inside('/run/libvirt/qemu/count.pid'), 'latin1')),
      metadata: { vm: 'count', uuid: host.virsh('domuuid', 'count') },
    })
    expect(word(counterAddress)).toBeGreaterThan(0)
  })

  test('the memory outlives destroy and a crash of QEMU; a domain started meanwhile has its own', async () => {
    const [mapping] = show().mappings
    memory(fd => writeSync(fd, Buffer.from('mark'), 0, 4, markAddress))
    host.virsh('destroy', 'count')
    host.define('count,er', counting('other'))
    host.virsh('start', 'count,er')
    host.virsh('start', 'count')
    await boots()
    await until(() => counters('other').length > 2, 'the other guest')
    host.virsh('destroy', 'count,er')

    host.must('sh', '-c', 'kill -9 $(cat /run/libvirt/qemu/count.pid)')
    await until(
      () => host.virsh('domstate', 'count', '--reason') === 'shut off (crashed)',
      'libvirt to notice',
    )
    host.virsh('start', 'count')
    await boots()
    expect(show().mappings).toMatchObject([{ id: mapping!.id }])
    expect(word(markAddress)).toBe(Buffer.from('mark').readUInt32LE())
  })

  test('the guest does not notice a restart of libvirtd, nor the death of the broker', async () => {
    await host.kill('libvirtd')
    await host.startLibvirt()
    await host.kill('membrokerd')
    await counts()
    await host.startBroker()
    expect(host.virsh('domstate', 'count')).toBe('running')
    expect(counters()[0]).toBe(1)
  })

  test('save, restore, managedsave and setmem work as without a broker', async () => {
    const before = newest()
    host.virsh('save', 'count', '/run/saved')
    host.virsh('restore', '/run/saved')
    await goesOn(before)
    host.virsh('setmem', 'count', '8M', '--live')
    const later = newest()
    host.virsh('managedsave', 'count')
    host.virsh('start', 'count')
    await goesOn(later)
  })

  test('by hand, a domain goes on from its device state and the memory that stayed, once', async () => {
    const before = newest()
    host.must(domainState, 'save', 'count', state)
    expect(host.virsh('domstate', 'count')).toBe('shut off')
    // A start whose QEMU does not start has used nothing up.
    host.must('mv', firmware, `${firmware}.whole`)
    host.must('sh', '-c', `echo none >${firmware}`)
    expect(host.run(domainState, 'start', 'count', state)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/BIOS|firmware/i),
    })
    host.must('mv', `${firmware}.whole`, firmware)
    host.must(domainState, 'start', 'count', state)
    await goesOn(before)
    expect(host.run(domainState, 'start', 'count', state).status).not.toBe(0)
    // The monitor is as libvirt left it: a save has the memory.
    const later = newest()
    host.virsh('save', 'count', '/run/saved')
    host.virsh('restore', '/run/saved')
    await goesOn(later)

    host.must(domainState, 'save', 'count', state)
    host.virsh('start', 'count')
    await boots()
    host.virsh('destroy', 'count')
    expect(host.run(domainState, 'start', 'count', state)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('the memory of count is not as it was'),
    })
  })

  test('each NUMA cell has an allocation of its own', () => {
    host.define('cells', twoCells)
    host.virsh('start', 'cells')
    for (const name of ['vm-cells/ram-0', 'vm-cells/ram-1'])
      expect(show(name).allocation).toMatchObject({ bytes: 4 * MiB, holderPid: expect.any(Number) })
    host.virsh('destroy', 'cells')
  })

  test('a domain with a user of its own has memory that is its own', () => {
    const label = `<label>+${uid + 1}:+${uid + 1}</label>`
    const rest = twoCells.replace(
      '</devices>',
      `</devices><seclabel type='static' model='dac' relabel='yes'>${label}</seclabel>`,
    )
    host.define('apart', rest)
    host.virsh('start', 'apart')
    expect(show('vm-apart/ram-1').allocation).toMatchObject({ uid: uid + 1, holderPid: expect.any(Number) })
    host.virsh('destroy', 'apart')
  })

  test.each([
    ['none', '', /<source type='file'\/>/],
    ['private', "<memoryBacking><source type='file'/></memoryBacking>", /<access mode='shared'\/>/],
    [
      'memfd',
      "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>",
      /memory-backend-memfd/,
    ],
    [
      'discard',
      "<memoryBacking><source type='file'/><access mode='shared'/><discard/></memoryBacking>",
      /<discard\/>/,
    ],
  ])('memory backing %s: virsh and the log say why the domain does not start', (name, memory, reason) => {
    host.define(name, counting(name, memory))
    const { status, stderr } = host.run('virsh', 'start', name)
    expect(status).toBe(1)
    expect(stderr).toMatch(reason)
    expect(stderr).toMatch('Nothing was started')
    expect(readFileSync(host.inside(`/var/log/libvirt/qemu/${name}.log`), 'latin1')).toMatch(reason)
  })

  test('a domain that reuses a name does not start on the memory of the one before', () => {
    host.virsh('undefine', 'count')
    host.define('count', counting('count'))
    expect(host.run('virsh', 'start', 'count').stderr).toContain('MemoryOfAnother')
  })
})

if (!possible) test('libvirt is left out', () => expect(process.env.CI).toBeFalsy())
