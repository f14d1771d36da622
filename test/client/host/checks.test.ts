/** Proves that the doctor finds each fault of a host, and finds none on a good host. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Diagnosis, diagnose } from '../../../src/client/ctl/host/check'
import { kernelChecks } from '../../../src/client/ctl/host/check/kernel'
import { memoryChecks, memoryRangeChecks } from '../../../src/client/ctl/host/check/memory'
import { reservationChecks } from '../../../src/client/ctl/host/check/reservation'
import { softwareChecks } from '../../../src/client/ctl/host/check/software'
import type { ConfiguredRange } from '../../../src/client/ctl/host/configured-range'
import { firmwareMap, HostFiles, idleByModprobe, initrd } from '../../../src/client/ctl/host/host-files'
import { modulesIn } from '../../../src/client/ctl/host/kernel-build'
import { needsRoot } from '../../support/needs-root'

const GiB = 2 ** 30
const line =
  'memmap=1G$0x40000000 memmap=1G%0x40000000-2+0xefffffff memmap=64M$0x80000000 dax_hmem.region_idle=1'
const dax: ConfiguredRange = {
  name: 'guests',
  source: 'devdax',
  bytes: GiB,
  path: '',
  base: GiB,
  tableBytes: 4096,
}
const mem: ConfiguredRange = { ...dax, name: 'raw', source: 'devmem', bytes: 2 ** 26, base: 2 * GiB }
const files: ConfiguredRange = {
  ...dax,
  name: 'files',
  source: 'directory',
  path: '/dev/shm/x',
  bytes: 4096,
}
const huge: ConfiguredRange = { ...files, name: 'huge', path: '/dev/hugepages/x', bytes: 2 ** 26 }
const memfd: ConfiguredRange = { ...huge, name: 'memfd', source: 'memfd', path: '', huge_page: 2 ** 21 }

let root: string
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'membroker-host-'))
  healthy()
})
afterEach(() => rmSync(root, { recursive: true }))

/** A file of the tree; with undefined it goes. */
function put(file: string, text: string | undefined): void {
  const place = path.join(root, file)
  rmSync(place, { recursive: true, force: true })
  mkdirSync(path.dirname(place), { recursive: true })
  if (text !== undefined) writeFileSync(place, `${text}\n`)
}

/** The files that a host has on which all is well, as they were read from real kernels. */
function healthy(): void {
  put('etc/systemd/system/membroker.service', 'ExecStart=membrokerd --config /etc/membroker.toml')
  put('usr/local/bin/membrokerd', '#!/usr/bin/env node')
  put('usr/bin/node', '')
  const device = 'sys/devices/platform/hmem_platform.0/hmem.0'
  put('proc/cmdline', line)
  put('proc/iomem', '00100000-3fffffff : System RAM\n80000000-83ffffff : Reserved')
  put('proc/swaps', 'Filename Type Size Used Priority')
  put('proc/meminfo', 'Hugepagesize:       2048 kB')
  put(
    'proc/self/mounts',
    `none / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw,huge=within_size 0 0\nnone /dev/hugepages hugetlbfs rw,pagesize=2M 0 0`,
  )
  put('proc/sys/kernel/kexec_load_disabled', '0')
  put('proc/sys/kernel/osrelease', '6.1.0')
  put(
    'boot/config-6.1.0',
    'CONFIG_DEV_DAX=m\nCONFIG_DEV_DAX_HMEM=m\nCONFIG_EFI_SOFT_RESERVE=y\nCONFIG_DEVMEM=y',
  )
  put('boot/grub/grub.cfg', `linux /vmlinuz ${line.replaceAll('$', '\\$')}`)
  put('sys/kernel/kexec_loaded', '0')
  put('sys/kernel/security/lockdown', '[none] integrity confidentiality')
  put('sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages', '64')
  put('sys/kernel/mm/transparent_hugepage/shmem_enabled', 'always within_size advise [never] deny force')
  put('sys/module/dax_hmem/parameters/region_idle', 'Y')
  put('sys/module/device_dax/refcnt', '1')
  put('dev/mem', '')
  mkdirSync(path.join(root, 'dev/shm'))
  put(`${device}/dax0.0/resource`, '0x40000000')
  put(`${device}/dax_region/size`, String(GiB))
  mkdirSync(path.join(root, 'sys/bus/dax/devices'), { recursive: true })
  symlinkSync(
    '../../../devices/platform/hmem_platform.0/hmem.0/dax0.0',
    path.join(root, 'sys/bus/dax/devices/dax0.0'),
  )
  for (const [index, [start, end, type]] of [
    ['0x100000', '0xbfffffff', 'System RAM'],
    ['0xc0000000', '0xffffffff', 'Reserved'],
  ].entries()) {
    put(`sys/firmware/memmap/${index}/start`, start)
    put(`sys/firmware/memmap/${index}/end`, end)
    put(`sys/firmware/memmap/${index}/type`, type)
  }
}

function checks(ranges: ConfiguredRange[], isRoot = true): Diagnosis[] {
  return diagnose(
    [...softwareChecks, ...kernelChecks, ...memoryChecks],
    [...reservationChecks, ...memoryRangeChecks],
    { files: new HostFiles(root), isRoot, configuration: { socket: '/run/x', ranges } },
  )
}
const ill = (ranges: ConfiguredRange[], isRoot = true) =>
  checks(ranges, isRoot).filter(({ result }) => result === 'bad' || result === 'warning')
const all = [dax, mem, files, huge]

test('on a good host nothing is found, and every check has looked', () => {
  // Proves that no check cries without a reason, and that the others in this suite have something to change.
  expect(ill(all)).toEqual([])
  const looked = new Set(
    checks(all)
      .filter(({ result }) => result === 'good')
      .map(({ id }) => id),
  )
  expect([...looked].sort()).toEqual([...new Set(checks(all).map(({ id }) => id))].sort())
})

test('a host that lets nobody make memfds which come back writable is seen, where a range is to be preserved', () => {
  put('proc/sys/vm/memfd_noexec', '2')
  const kept: ConfiguredRange = { ...memfd, name: 'kept', huge_page: undefined, preserve: 'update' }
  expect(ill([memfd]).map(({ id }) => id)).not.toContain('kernelBuild')
  const [found] = ill([kept]).filter(({ id }) => id === 'kernelBuild')
  expect(found).toMatchObject({ result: 'bad', finding: expect.stringMatching(/vm.memfd_noexec=2 forbids/) })
})

test('a kernel that is loaded is suspect where a range is preserved: kexec -c may have done it', () => {
  const kept: ConfiguredRange = { ...memfd, name: 'kept', huge_page: undefined, preserve: 'always' }
  const kexec = () => checks([kept]).find(({ id }) => id === 'kexec')
  expect(kexec()).toMatchObject({ result: 'good', finding: expect.stringMatching(/kept .* release 6.1.0 /) })
  put('sys/kernel/kexec_loaded', '1')
  expect(kexec()).toMatchObject({ result: 'warning', finding: expect.stringMatching(/kexec -c .* of kept$/) })
  expect(ill([memfd]).map(({ id }) => id)).not.toContain('kexec')
})

test.each<[string, () => void, string, RegExp, RegExp]>([
  [
    'no driver',
    () => put('sys/module/device_dax', undefined),
    'bad modules',
    /device_dax is not loaded/,
    /modprobe device_dax/,
  ],
  [
    'not idle',
    () => put('sys/module/dax_hmem/parameters/region_idle', 'N'),
    'bad regionIdle',
    /one device/,
    /region_idle=1/,
  ],
  [
    'taken by kmem',
    () => put('sys/bus/dax/drivers/kmem/dax0.0', ''),
    'bad kmem',
    /dax0\.0 was made the kernel's own/,
    /daxctl reconfigure-device --mode=devdax --force dax0\.0/,
  ],
  [
    'kmem built in',
    () => put('sys/bus/dax/drivers/kmem/bind', ''),
    'warning kmem',
    /built into this kernel/,
    /initcall_blacklist=dax_kmem_init/,
  ],
  ['kmem there', () => put('sys/module/kmem/refcnt', '0'), 'warning kmem', /is loaded/, /modprobe -r kmem/],
  [
    'locked down',
    () => put('sys/kernel/security/lockdown', 'none [integrity]'),
    'bad lockdown',
    /integrity/,
    /without lockdown/,
  ],
  [
    'no kexec any more',
    () => put('proc/sys/kernel/kexec_load_disabled', '1'),
    'bad kexec',
    /switched off/,
    /kexec_load_disabled/,
  ],
  [
    'no kexec at all',
    () => put('sys/kernel/kexec_loaded', undefined),
    'warning kexec',
    /no kexec/,
    /CONFIG_KEXEC_FILE/,
  ],
  [
    'a driver not built',
    () => put('boot/config-6.1.0', 'CONFIG_DEV_DAX=m\nCONFIG_DEVMEM=y'),
    'bad kernelBuild',
    /this kernel is built without CONFIG_DEV_DAX_HMEM/,
    /boot a kernel/,
  ],
  [
    'swap',
    () => put('proc/swaps', 'Filename Type\n/dev/sda2 partition'),
    'warning swap',
    /memory of files may be swapped out, to \/dev\/sda2/,
    /swapoff -a/,
  ],
  [
    'small pages',
    () =>
      put(
        'proc/self/mounts',
        'tmpfs /dev/shm tmpfs rw 0 0\nnone /dev/hugepages hugetlbfs rw,pagesize=2M 0 0',
      ),
    'warning transparentHugePages',
    /4 KiB/,
    /mount -o remount,huge=within_size \/dev\/shm/,
  ],
  [
    'an empty pool',
    () => put('sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages', '3'),
    'bad hugePages',
    /has 3 huge pages of 2 MiB, and 33 are configured/,
    /echo 33 >\/sys\/kernel\/mm\/hugepages\/hugepages-2048kB\/nr_hugepages/,
  ],
  [
    'no hugetlbfs',
    () => put('proc/self/mounts', 'udev /dev devtmpfs rw 0 0\ntmpfs /dev/shm tmpfs rw,huge=always 0 0'),
    'bad filesystem',
    /not on hugetlbfs but on the devtmpfs of \/dev/,
    /mount -t hugetlbfs none \/dev\/hugepages/,
  ],
  [
    'another region',
    () => put('sys/devices/platform/hmem_platform.0/hmem.0/dax0.0/resource', '0x50000000'),
    'bad region',
    /begins at 0x40000000; there are 0x50000000-0x8fffffff/,
    /0x40000000/,
  ],
  [
    'a smaller region',
    () => put('sys/devices/platform/hmem_platform.0/hmem.0/dax_region/size', '4096'),
    'bad region',
    /has 4096 bytes/,
    /parameters it had/,
  ],
  ['no /dev/mem', () => put('dev/mem', undefined), 'bad reserved', /no \/dev\/mem/, /CONFIG_DEVMEM/],
  [
    'memory that is used',
    () => put('proc/iomem', '00100000-bfffffff : System RAM'),
    'bad reserved',
    /has 'System RAM' there/,
    /0x80000000/,
  ],
  ['other parameters', () => put('proc/cmdline', 'quiet'), 'bad parameters', /do not keep it/, /boot with/],
  [
    'a boot loader without them',
    () => put('boot/grub/grub.cfg', 'linux /vmlinuz quiet\n'),
    'warning bootLoader',
    /1 of 1 entries.*grub\.cfg/,
    /update-grub/,
  ],
  [
    'a boot loader with too few backslashes',
    () => put('boot/grub/grub.cfg', `linux /vmlinuz ${line}`),
    'warning bootLoader',
    /took the \$ away/,
    /reserve/,
  ],
])('%s is found, with what repairs it', (_what, spoil, expected, finding, repair) => {
  // Proves that each check sees its fault in what the kernel shows.
  spoil()
  const found = ill(all).find(({ result, id }) => `${result} ${id}` === expected)
  expect([found?.finding, found?.repair]).toEqual([
    expect.stringMatching(finding),
    expect.stringMatching(repair),
  ])
})

test('an entry whose kernel reads no line but its own is found', () => {
  // Proves that the kernel of each entry is looked at, not only the one that runs.
  const drivers = 'CONFIG_DEV_DAX=m\nCONFIG_DEV_DAX_HMEM=m\nCONFIG_EFI_SOFT_RESERVE=y\nCONFIG_DEVMEM=y'
  put(
    'lib/modules/6.12.0/config',
    `${drivers}\nCONFIG_CMDLINE_BOOL=y\nCONFIG_CMDLINE="quiet"\nCONFIG_CMDLINE_OVERRIDE=y`,
  )
  put('efi/loader/entries/a.conf', `linux /1234/6.12.0/linux\noptions ${line}`)
  expect(ill([dax])).toMatchObject([
    {
      id: 'bootLoader',
      finding: expect.stringMatching(
        /1 of 2 entries .*a\.conf: .*CONFIG_CMDLINE_OVERRIDE.*; .*kernel's own memory/,
      ),
      repair: 'boot a kernel that is built without CONFIG_CMDLINE_OVERRIDE',
    },
  ])
  put('efi/loader/entries/a.conf', `linux /1234/6.1.0/linux\noptions quiet`)
  expect(ill([dax])[0]!.repair).toMatch(/\/etc\/kernel\/cmdline, then for each kernel: kernel-install add/)
  put('efi', undefined)
  put('lib/modules/6.12.0/config', drivers)
  expect(ill([dax])).toEqual([])
})

test('a kernel that is inside the reservation is not sent the same way again', () => {
  // Proves that right parameters are not asked for once more where they were not heeded.
  put(
    'proc/iomem',
    '00100000-3fffffff : System RAM\n40000000-7fffffff : Soft Reserved\n  48000000-490027ff : Kernel code',
  )
  put('sys/bus/dax/devices', undefined)
  const found = ill([dax])
  expect(found.map(({ id }) => id)).toEqual(['region', 'occupied'])
  for (const { repair } of found) {
    expect(repair).toMatch(/^boot with nokaslr too, or a kernel from 6\.10 on/)
    expect(repair).not.toMatch(/broker-ctl reserve/)
  }
  expect(found[1]!.finding).toMatch(/Kernel code at 0x48000000-0x490027ff/)
})

test('memory that the CXL drivers take is no range, unless dax_hmem offers it', () => {
  // Proves that soft-reserved memory is not enough where another driver comes first.
  put(
    'proc/iomem',
    '40000000-8fffffff : CXL Window 0\n  40000000-7fffffff : region0\n    40000000-7fffffff : Soft Reserved',
  )
  const device = 'sys/devices/platform/hmem_platform.0/hmem.0'
  expect(ill([dax])).toEqual([])
  put(`${device}/driver`, undefined)
  symlinkSync('../../../../bus/cxl/drivers/cxl_dax_region', path.join(root, device, 'driver'))
  expect(ill([dax])).toMatchObject([
    {
      id: 'occupied',
      result: 'bad',
      finding: expect.stringMatching(/in CXL Window 0 /),
      repair: expect.stringMatching(/outside/),
    },
  ])
  put('sys/bus/dax/devices', undefined)
  expect(ill([dax]).map(({ id, repair }) => [id, /CXL/.test(repair!)])).toEqual([
    ['region', true],
    ['occupied', true],
  ])
})

test('drivers that are built in are there, with or without a folder in /sys/module', () => {
  // Proves that nobody is told to load what the kernel has already.
  put('sys/module/device_dax', undefined)
  put('sys/module/dax_hmem', undefined)
  expect(ill([dax]).map(({ id }) => id)).toEqual(['modules'])
  put('sys/bus/dax/drivers/device_dax/bind', '')
  put('sys/bus/platform/drivers/hmem/bind', '')
  expect(ill([dax])).toEqual([])
  put('sys/bus', undefined)
  put(
    'lib/modules/6.1.0/modules.builtin',
    'kernel/drivers/dax/device_dax.ko\nkernel/drivers/dax/hmem/dax_hmem.ko',
  )
  expect(ill([dax]).map(({ id }) => id)).toEqual(['region'])
})

test('what kmem has of others is none of the range', () => {
  // Proves that an operator who wants other memory to be the kernel's own is left alone.
  put('sys/bus/dax/drivers/kmem/dax1.0', '')
  put('sys/bus/dax/devices/dax1.0/resource', '0x200000000')
  put('sys/bus/dax/devices/dax1.0/size', String(GiB))
  const found = () => ill([dax]).map(({ result, id }) => `${result} ${id}`)
  expect(found()).toEqual(['warning kmem'])
  put('sys/bus/dax/devices/dax1.0/resource', '0x40000000')
  expect(found()).toEqual(['bad kmem'])
  put('sys/devices/system/memory/block_size_bytes', '8000000')
  expect(ill([dax])[0]!.repair).toContain(
    'for block in $(seq 8 15); do echo offline >/sys/devices/system/memory/memory$block/state; done; ' +
      'echo dax1.0 >/sys/bus/dax/drivers/kmem/unbind; where',
  )
  put('sys/bus/dax/devices/dax1.0', undefined)
  expect(found()).toEqual(['bad kmem'])
})

test('a tmpfs that is too small is found on the real one', () => {
  // Proves that sizes are those of the filesystem, and that the command's size is enough.
  const [found] = ill([{ ...files, bytes: 2 ** 50 }])
  expect(found).toMatchObject({ id: 'filesystem', result: 'bad', range: 'files' })
  expect(found!.repair).toBe(
    `mount -o remount,size=${Math.ceil(((2 ** 50 + 4096) * 1.02) / 2 ** 20)}M /dev/shm`,
  )
})

test('a place that a stranger can take before the broker does is found, with one that nobody can', () => {
  // Proves that the example's place is good, and that a folder which anybody can make, replace or owns is not.
  const mode = (folder: string, bits: number) => {
    mkdirSync(path.join(root, folder), { recursive: true })
    chmodSync(path.join(root, folder), bits)
  }
  const found = (place: string) => {
    const range = { ...files, path: place }
    return checks([range]).find(({ id }) => id === 'place')!
  }
  mode('dev/shm', 0o1777)
  expect(found('/dev/shm/guests')).toMatchObject({
    result: 'warning',
    finding: expect.stringMatching(/any user can make \/dev\/shm\/guests before the broker does/),
    repair: expect.stringMatching(/deploy\/dev-membroker\.mount.*"\/dev\/membroker"/),
  })
  mode('dev/shm/guests', 0o700)
  expect(found('/dev/shm/guests').result).toBe('warning')
  expect(found('/dev/membroker').result).toBe('good')
  mode('var/tmp', 0o1777)
  expect(found('/var/tmp/guests/a').result).toBe('warning')
  mode('var/tmp/guests', 0o700)
  expect(found('/var/tmp/guests/a').result).toBe('good')
  mode('var/open', 0o777)
  expect(found('/var/open/guests')).toMatchObject({
    result: 'bad',
    finding: expect.stringMatching(/others can rename/),
  })
  if (!needsRoot('a folder of another uid')) return
  mode('dev/shm/guests', 0o700)
  chownSync(path.join(root, 'dev/shm/guests'), 64055, 64055)
  expect(found('/dev/shm/guests')).toMatchObject({
    result: 'bad',
    finding: expect.stringMatching(/belongs to uid 64055/),
  })
})

test('a tmpfs that is bound to nodes with less memory is found', () => {
  // Proves that it is the nodes' memory that counts, of all in a list whose commas are those of the options.
  const mounted = (policy: string) =>
    put(
      'proc/self/mounts',
      `tmpfs /dev/shm tmpfs rw,mpol=${policy},huge=always 0 0\nnone /dev/hugepages hugetlbfs rw 0 0`,
    )
  put('sys/devices/system/node/node0/meminfo', 'Node 0 MemTotal:       8 kB')
  put('sys/devices/system/node/node2/meminfo', 'Node 2 MemTotal:       65536 kB')
  mounted('bind:0,2')
  expect(ill([files])).toEqual([])
  mounted('bind:0')
  expect(ill([{ ...files, bytes: 8192 }])).toMatchObject([
    {
      id: 'filesystem',
      result: 'bad',
      finding: expect.stringMatching(/bound to node 0, which has 8 KiB/),
      repair: expect.stringMatching(/mpol=local/),
    },
  ])
})

test('ranges on huge pages of one size share the pool', () => {
  // Proves that two ranges are not each told that the same pages are theirs.
  put('sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages', '64')
  expect(ill([huge, memfd]).map(({ id, range }) => `${id} ${range}`)).toEqual([
    'hugePages huge',
    'hugePages memfd',
  ])
  put('sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages', '65')
  expect(ill([huge, memfd])).toEqual([])
})

test('not as root, what only root can see is named so', () => {
  // Proves that nothing hidden is taken for good, or for a fault.
  put('proc/iomem', '00000000-00000000 : System RAM')
  expect(ill(all, false)).toEqual([])
  const hidden = checks(all, false).filter(({ finding }) => finding === 'only root can see this')
  expect(hidden.map(({ id }) => id)).toEqual(['region', 'reserved', 'occupied', 'occupied'])
})

test('checks without anything to look at are left out', () => {
  // Proves that a host without reserved memory is not asked for drivers.
  expect(new Set(checks([files]).map(({ id }) => id))).toEqual(
    new Set([
      'node',
      'addon',
      'serviceFiles',
      'lockdown',
      'kexec',
      'swap',
      'transparentHugePages',
      'place',
      'filesystem',
      'hugePages',
    ]),
  )
})

test("the firmware's map, the initrd and modprobe's settings are read as the kernel shows them", () => {
  // Proves the readings on which reserve and preflight rest.
  expect(firmwareMap(new HostFiles(root))).toEqual([
    { start: 0x10_0000, end: 0xc000_0000, type: 1 },
    { start: 0xc000_0000, end: 2 ** 32, type: 2 },
  ])
  const parameters = Buffer.alloc(4096)
  expect(initrd(parameters)).toBeUndefined()
  parameters.writeUInt32LE(0xb5af_4000, 0x218)
  parameters.writeUInt32LE(0x0a4e_b1c0, 0x21c)
  parameters.writeUInt32LE(1, 0xc0)
  expect(initrd(parameters)).toEqual({ start: 0x1_b5af_4000, end: 0x1_bffd_f1c0 })
  expect(idleByModprobe(new HostFiles(root))).toBe(false)
  put('etc/modprobe.d/dax.conf', '# options dax_hmem region_idle=1\noptions dax-hmem region_idle=Y')
  expect(idleByModprobe(new HostFiles(root))).toBe(true)
})

test('modules are found however they are packed, and those that are built in', () => {
  // Proves that no kernel is refused for a suffix.
  put('lib/modules/kernel/drivers/dax/hmem/dax_hmem.ko.xz', '')
  put('lib/modules/modules.builtin', 'kernel/drivers/dax/device-dax.ko\nkernel/x/other.ko')
  expect([...modulesIn(path.join(root, 'lib/modules'))].sort()).toEqual(['dax_hmem', 'device_dax', 'other'])
})
