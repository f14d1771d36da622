/**
 * Proves that reserve, preflight and doctor know persistent memory for a range of files: its parameter, its device, its
 * filesystem's mount, and that the kernel maps its files without copies.
 */
import { persistentChecks } from '../../../src/client/ctl/host/check/persistent'
import { reservationChecks } from '../../../src/client/ctl/host/check/reservation'
import type { ConfiguredRange } from '../../../src/client/ctl/host/configured-range'
import { parseKernelConfig } from '../../../src/client/ctl/host/kernel-build'
import { onPersistentMemory } from '../../../src/client/ctl/host/persistent-memory'
import { type NextKernel, preflight } from '../../../src/client/ctl/host/preflight'
import { persistentFolder, propose } from '../../../src/client/ctl/host/proposal'
import { Tree } from './tree'

const GiB = 2 ** 30
const line = 'quiet memmap=1G!0x100000000'
const range: ConfiguredRange = {
  name: 'guests',
  source: 'directory',
  bytes: 512 * 2 ** 20,
  path: `${persistentFolder}/guests`,
  tableBytes: 4 * 2 ** 20,
}
const firmware = [{ start: 0x10_0000, end: 8 * GiB, type: 1 }]

let tree: Tree
beforeEach(() => {
  tree = new Tree()
  tree.put('proc/cmdline', line)
  tree.put(
    'proc/self/mounts',
    `/dev/sda / ext4 rw 0 0\n/dev/pmem0 ${persistentFolder} ext4 rw,dax=always 0 0`,
  )
  tree.put('sys/class/block/pmem0/device/resource', '0x100000000')
  tree.put('sys/class/block/pmem0/size', String(GiB / 512))
  tree.put('etc/systemd/system/srv-membroker.mount', `[Mount]\nWhere=${persistentFolder}`)
  tree.put('etc/systemd/system/membroker.service.d/pmem.conf', `RequiresMountsFor=${persistentFolder}`)
})
afterEach(() => tree.remove())

const diagnosed = () =>
  tree
    .diagnose([range], { range: [...reservationChecks, ...persistentChecks] })
    .map(({ id, result, finding }) => `${result} ${id}: ${finding}`)

test('nothing is found where all is well', () => {
  expect(diagnosed()).toEqual([
    "good parameters: this kernel's parameters reserve it",
    expect.stringMatching(/^notApplicable bootLoader/),
    'good dax: its files are mapped directly from /dev/pmem0',
    'good mount: a unit mounts /srv/membroker before the broker starts',
  ])
})

test.each<[string, () => void, RegExp]>([
  ['no parameter', () => tree.put('proc/cmdline', 'quiet'), /^bad parameters: .*takes memmap=1G!0x100000000/],
  [
    'not mounted',
    () => tree.put('proc/self/mounts', '/dev/sda / ext4 rw 0 0'),
    /^warning dax: .*on the ext4 of \//,
  ],
  [
    'no device',
    () => {
      tree.put('proc/self/mounts', '/dev/sda / ext4 rw 0 0')
      tree.remove('sys/class/block')
    },
    /^bad dax: .*no device of it/,
  ],
  [
    'another filesystem',
    () => tree.put('proc/self/mounts', `/dev/pmem0 ${persistentFolder} btrfs rw 0 0`),
    /^bad dax: .*btrfs/,
  ],
  // The tree itself is on a filesystem without DAX.
  [
    'a file without DAX',
    () => tree.put(`${persistentFolder}/guests/table`, ''),
    /^bad dax: .*table without DAX: a kexec loses it/,
  ],
  [
    'an odd place',
    () => tree.put('sys/class/block/pmem0/device/resource', '0x100001000'),
    /^warning dax: .*no multiple of 2 MiB/,
  ],
  ['no unit', () => tree.remove('etc/systemd/system/srv-membroker.mount'), /^warning mount: neither/],
  [
    'a unit that the broker does not wait for',
    () => tree.remove('etc/systemd/system/membroker.service.d'),
    /^warning mount: .*does not wait for it/,
  ],
])('%s is found', (_what, spoil, expected) => {
  spoil()
  expect(diagnosed()).toContainEqual(expect.stringMatching(expected))
})

const none = { options: undefined, modules: undefined }
function check(commandLine: string, build: NextKernel['build'] = none) {
  const ranges = onPersistentMemory([range], tree.files)
  const next = { commandLine, firmware, build, idleByModprobe: false }
  return preflight(ranges, next).map(({ result, id, reason }) => `${result} ${id}: ${reason}`)
}

test.each<[string, string, RegExp]>([
  ['missing', 'quiet', /^lost memory: .*must be protected.*the kernel's own memory.*memmap=1G!0x100000000/],
  ['elsewhere', 'memmap=1G!5G', /^lost memory: .*says memmap=1G!5G/],
  ['smaller', 'memmap=512M!4G', /^lost memory/],
  ['without its driver', `${line} module_blacklist=nd_e820`, /^lost blacklist/],
  ['a later reservation than KASLR avoids', `memmap=1M$1G,1M$2G,1M$3G,1M$6G ${line}`, /^lost randomisation/],
  ['in the way of a crash kernel', `${line} crashkernel=256M@4G`, /^lost crashKernel/],
])('preflight refuses a line that loses it: %s', (_what, bad, expected) => {
  expect(check(bad)).toEqual([expect.stringMatching(expected)])
})

test('preflight takes a line that keeps it, and looks for the drivers in the next kernel', () => {
  expect(check(line)).toEqual([])
  const options = parseKernelConfig('CONFIG_X86_PMEM_LEGACY=m\nCONFIG_BLK_DEV_PMEM=m')
  expect(check(line, { options, modules: new Set(['nd_e820']) })).toEqual([
    'lost driver: the next kernel is built without CONFIG_FS_DAX',
    'lost driver: the next kernel has no module nd_pmem',
  ])
})

test('on ordinary memory, a kexec loses the files', () => {
  tree.put('proc/self/mounts', `tmpfs ${persistentFolder} tmpfs rw 0 0`)
  expect(check('quiet')).toEqual([expect.stringMatching(/^warning volatile/)])
})

test('what reserve proposes passes preflight', () => {
  const stretch = { start: 4 * GiB, end: 5 * GiB, align: GiB, node: undefined, left: 4 * GiB, overhead: 0 }
  const { parameters, grub, toml, filesystem } = propose(stretch, 'directory', 'guests', 'quiet')
  expect(grub).toContain('memmap=1G!0x100000000')
  expect(check(parameters.join(' '))).toEqual([])
  expect(toml).toMatch(/^path = "\/srv\/membroker\/guests"\nbytes = "828MiB"$/m)
  expect(filesystem!.join('\n')).toContain('mkfs.ext4 -b 4096')
})
