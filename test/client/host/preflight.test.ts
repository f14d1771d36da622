/**
 * Proves that preflight refuses every line that loses a range, with a sentence that names the fault, and no line
 * that keeps all.
 */
import type { ConfiguredRange } from '../../../src/client/ctl/host/configured-range'
import { parseKernelConfig } from '../../../src/client/ctl/host/kernel-build'
import { type NextKernel, preflight } from '../../../src/client/ctl/host/preflight'
import type { Succession } from '../../../src/client/ctl/host/preserved'

const GiB = 2 ** 30
const MiB = 2 ** 20

const dax: ConfiguredRange = {
  name: 'guests',
  source: 'devdax',
  bytes: 512 * MiB,
  path: '',
  base: GiB,
  tableBytes: 4096,
}
const mem: ConfiguredRange = { ...dax, name: 'raw', source: 'devmem', bytes: 128 * MiB, base: 0x6000_0000 }

const firmware = [
  { start: 0, end: 0x9fc00, type: 1 },
  { start: 0x10_0000, end: 0xbffe_0000, type: 1 },
]
const first = 'memmap=512M$0x40000000'
const second = 'memmap=512M%0x40000000-2+0xefffffff'
const third = 'memmap=128M$0x60000000'
const idle = 'dax_hmem.region_idle=1'
const line = `quiet ${first} ${second} ${third} ${idle}`

function check(commandLine: string, ranges = [dax, mem], more: Partial<NextKernel> = {}) {
  const build = { options: undefined, modules: undefined }
  return preflight(ranges, { commandLine, firmware, build, idleByModprobe: false, ...more })
}
const found = (...args: Parameters<typeof check>) =>
  check(...args).map(({ range, result, id }) => `${range} ${result} ${id}`)

test.each([
  ['as it was', line],
  ['one list, other units and bases', `memmap=0x20000K$1536M,524288K$1G ${second} ${idle}`],
  ['without randomisation, one form is enough', `nokaslr memmap=512M%1G-1+0xefffffff ${third} ${idle}`],
  ['a crash kernel elsewhere', `${line} crashkernel=256M crashkernel=128M@16M`],
  ['kmem kept away', `${line} modprobe.blacklist=kmem`],
  ['kmem kept from starting, where it is built in', `${line} initcall_blacklist=dax_kmem_init`],
  ['memory ends behind the ranges', `${line} mem=2G`],
])('%s: nothing is found', (_what, good) => {
  // Proves that a line which keeps everything is not refused, however it is written.
  expect(found(good)).toEqual([])
})

test.each([
  [
    'missing',
    `quiet ${third} ${idle}`,
    'guests lost memory',
    /all of it would be the kernel's own memory: no memmap=/,
  ],
  [
    'given to efi_fake_mem',
    `efi_fake_mem=512M@1G:0x40000 ${third} ${idle}`,
    'guests lost memory',
    /efi_fake_mem= does not count/,
  ],
  [
    'shifted',
    line.replaceAll('0x40000000', '0x40200000'),
    'guests lost memory',
    /0x40000000-0x401fffff would be the kernel's own/,
  ],
  [
    'shortened',
    line.replaceAll('512M', '256M'),
    'guests lost memory',
    /0x50000000-0x5fffffff would be the kernel's own/,
  ],
  [
    'longer',
    line.replaceAll('512M', '768M').replace(third, ''),
    'guests lost region',
    /soft-reserved memory around it would be 0x40000000-0x6fffffff/,
  ],
  [
    'reserved only',
    `${first} ${third} ${idle}`,
    'guests lost memory',
    /all of it would be reserved: .*takes memmap=512M\$0x40000000 memmap=512M%0x40000000-2\+0xefffffff, in this order/,
  ],
  [
    'the forms in the wrong order',
    `${second} ${first} ${third} ${idle}`,
    'guests lost memory',
    /all of it would be reserved/,
  ],
  ['another type', line.replace('+0xefffffff', '+7'), 'guests lost memory', /would be persistent memory/],
  [
    'the $ eaten',
    line.replace('512M$0', '512M'),
    'guests lost memory',
    /memmap=512Mx40000000 as the end of all memory.*took the \$ away/,
  ],
  [
    'the $ eaten with the address',
    line.replace('$0x40000000', ''),
    'guests lost memory',
    /memmap=512M as the end of all memory/,
  ],
  ['not understood', line.replace('-2+0x', '-2+0y'), 'guests lost memory', /is not -OLDTYPE\+NEWTYPE/],
  ['behind --', `quiet -- ${line}`, 'guests lost memory', /no memmap=/],
  [
    'in a parameter of the same letters',
    line.replaceAll('memmap=', 'xmemmap='),
    'raw lost memory',
    /kernel's own memory/,
  ],
  ['exactmap', `memmap=exactmap memmap=512M@0 ${idle}`, 'guests lost memory', /exactmap/],
  [
    'one form, and the kernel at a random place',
    `memmap=512M%1G-1+0xefffffff ${third} ${idle}`,
    'guests lost randomisation',
    /nokaslr/,
  ],
  [
    'a fifth reservation',
    `${[1, 2, 3, 4].map(at => `memmap=64K$${at}M`).join(' ')} ${line}`,
    'raw lost randomisation',
    /first four/,
  ],
  ['memory that ends before', `mem=1G ${line}`, 'guests lost memoryLimit', /mem=1G ends memory/],
  [
    'a crash kernel in it',
    `${line} crashkernel=64M@0x50000000`,
    'guests lost crashKernel',
    /crashkernel=64M@0x50000000/,
  ],
  [
    'a crash kernel of several sizes in it',
    `${line} crashkernel=1G-8G:64M,8G-:1G@0x3f000000`,
    'guests lost crashKernel',
    /wants memory/,
  ],
  ['not idle', line.replace(idle, ''), 'guests lost regionIdle', /region_idle=1 is missing/],
  ['idle switched off', `${line} dax_hmem.region_idle=0`, 'guests lost regionIdle', /region_idle is off/],
  [
    'a driver blacklisted',
    `${line} modprobe.blacklist=nouveau,device_dax`,
    'guests lost blacklist',
    /device_dax/,
  ],
  [
    'a driver blacklisted, in other letters',
    `${line} module-blacklist=dax-hmem`,
    'guests lost blacklist',
    /dax_hmem/,
  ],
  [
    'its start blacklisted',
    `${line} initcall_blacklist=dax_hmem_init`,
    'guests lost blacklist',
    /dax_hmem_init/,
  ],
  ['its devices switched off', `${line} device_hmem.disable=1`, 'guests lost disabled', /device_hmem/],
  ['locked down', `${line} lockdown=integrity`, 'raw lost lockdown', /\/dev\/mem/],
])('%s is refused, with the reason', (_what, bad, expected, reason) => {
  // Proves each way in which a line loses a range, and that the sentence names it.
  const findings = check(bad)
  expect(found(bad)).toContain(expected)
  const [range, , id] = expected.split(' ')
  const finding = findings.find(candidate => candidate.range === range && candidate.id === id)!
  expect(finding.reason).toMatch(reason)
})

test('a line that the kernel cuts off is refused, and what is behind does not count', () => {
  // Proves that parameters are not believed that the kernel never sees.
  const long = `${'x'.repeat(2000)} ${line}`
  expect(found(long)).toEqual(expect.arrayContaining(['null lost lineTooLong', 'guests lost memory']))
  expect(found(`${line} ${'x'.repeat(2000)}`)).toEqual(['null lost lineTooLong'])
})

test('memory that the firmware has marked needs no memmap=, but efi=nosoftreserve loses it', () => {
  // Proves that special-purpose memory of the firmware's is told from what a parameter makes.
  const marked = [...firmware, { start: 4 * GiB, end: 8 * GiB, type: 0xefff_ffff }]
  const range = { ...dax, base: 4 * GiB, bytes: 4 * GiB }
  expect(found(idle, [range], { firmware: marked })).toEqual([])
  expect(found(`${idle} efi=nosoftreserve`, [range], { firmware: marked })).toEqual(['guests lost memory'])
  expect(found(`${line} efi=nosoftreserve`)).toEqual([])
})

test('two ranges side by side are refused, as the kernel makes one region of them', () => {
  // Proves that a line which reserves every byte is still refused when the broker could not find its ranges.
  const upper = { ...dax, name: 'upper', base: GiB + 512 * MiB, bytes: 128 * MiB }
  const both = `${line} memmap=128M%0x60000000-2+0xefffffff`
  expect(found(both, [dax, upper])).toEqual(['guests lost region', 'upper lost region'])
})

test('a reservation in two pieces is none for the broker', () => {
  // Proves that preflight demands what the devmem source demands.
  const halves = `memmap=64M$0x60000000 memmap=64M$0x64000000`
  expect(
    check(halves, [mem]).map(({ id, reason }) => [id, /not by one memmap=/.test(reason)]),
  ).toContainEqual(['memory', true])
})

test.each([
  ['kmem that can be had at once', `${line} memhp_default_state=online`, 'guests warning autoOnline'],
  [
    'no idle region, and no kmem',
    `${line.replace(idle, '')} modprobe.blacklist=kmem`,
    'guests warning regionIdle',
  ],
  ['addresses without memory', `memmap=64M$64G`, 'far warning noMemory'],
  ['strict /dev/mem', `${line} iomem=strict`, 'raw warning iomem'],
])('%s is a warning, and no refusal', (_what, soft, expected) => {
  // Proves that what is only to be known does not stop a kexec.
  const far = { ...mem, name: 'far', bytes: 64 * MiB, base: 64 * GiB }
  expect(found(soft, expected.startsWith('far') ? [far] : [dax, mem])).toEqual([expected])
})

test('what modprobe sets need not be on the line', () => {
  // Proves that a host which configures the module in /etc/modprobe.d is not refused.
  expect(found(line.replace(idle, ''), [dax], { idleByModprobe: true })).toEqual([
    'guests warning regionIdle',
  ])
})

test('ranges whose memory ends with the kernel are told', () => {
  // Proves that nobody learns after the kexec that a memfd was no place for guests.
  const memfd: ConfiguredRange = { ...dax, name: 'scratch', source: 'memfd' }
  const folder: ConfiguredRange = {
    ...dax,
    name: 'files',
    source: 'directory',
    path: '/dev/shm/x',
  }
  expect(found('', [memfd, folder])).toEqual(['scratch warning volatile', 'files warning volatile'])
})

test('a kernel that does not keep preserved memfds is refused', () => {
  // Proves that both its parameters and its build are looked at.
  const kept: ConfiguredRange = { ...dax, name: 'kept', source: 'memfd', preserve: 'always' }
  const good = 'quiet kho=on liveupdate=on'
  expect(found(good, [kept])).toEqual([])
  expect(found('quiet kho=on', [kept])).toEqual(['kept lost parameter'])
  expect(check(`${good} kho=off`, [kept]).map(({ reason }) => reason)).toEqual([
    'the next kernel has no kho=on on its command line',
  ])
  const options = parseKernelConfig('CONFIG_KEXEC_HANDOVER=y\n')
  expect(found(good, [kept], { build: { options, modules: undefined } })).toEqual([
    'kept lost driver',
    'kept lost driver',
  ])
})

test.each<[string, string | undefined, Partial<Succession>, string[]]>([
  ['this one again', '7.2.12', {}, ['kept warning configuration']],
  ['another release', '7.3.1', {}, ['kept lost release', 'kept warning configuration']],
  [
    'another release, of the same format',
    '7.3.1',
    { sameFormat: true },
    ['kept warning release', 'kept warning configuration'],
  ],
  ['nobody knows which', undefined, {}, ['kept warning release', 'kept warning configuration']],
  [
    'somebody has loaded it',
    undefined,
    { isLoaded: true },
    ['kept lost loader', 'kept warning release', 'kept warning configuration'],
  ],
  [
    'somebody has loaded it by kexec -s',
    undefined,
    { isLoaded: true, byFile: true },
    ['kept warning release', 'kept warning configuration'],
  ],
])('memory that one kernel preserves for the next one, which is %s', (_what, release, more, expected) => {
  // Proves that no kernel of another format, and none that can't take memory over, passes without a word.
  const kept: ConfiguredRange = { ...dax, name: 'kept', source: 'memfd', preserve: 'update' }
  const build = { release, releaseBy: 'image' as const, options: undefined, modules: undefined }
  const succession = { runningRelease: '7.2.12', ...more }
  const good = `${line} kho=on liveupdate=on`
  expect(found(good, [kept, dax, mem], { build, succession })).toEqual(expected)
  // A boot loader's kernel takes nothing over.
  expect(found(good, [kept], { build })).toEqual([])
  const plain: ConfiguredRange = { ...kept, name: 'plain', preserve: 'no' }
  expect(found(good, [plain], { build, succession })).toEqual(['plain warning volatile'])
})

test("what only a file's name says of a release proves nothing, and refuses nothing", () => {
  // Proves that vmlinuz-R.old refuses no update, and that vmlinuz-R alone is not believed.
  const kept: ConfiguredRange = { ...dax, name: 'kept', source: 'memfd', preserve: 'update' }
  const options = parseKernelConfig(
    ['KEXEC_HANDOVER', 'LIVEUPDATE', 'LIVEUPDATE_MEMFD'].map(name => `CONFIG_${name}=y\n`).join(''),
  )
  const succession = { runningRelease: '7.2.12' }
  const foundIn = (release: string, releaseBy: 'image' | 'name') => {
    const build = { release, releaseBy, options, modules: undefined }
    return found('kho=on liveupdate=on', [kept], { build, succession })
  }
  expect(foundIn('7.2.12', 'name')).toEqual(['kept warning release'])
  expect(foundIn('7.2.12.old', 'name')).toEqual(['kept warning release'])
  expect(foundIn('7.2.12', 'image')).toEqual([])
  expect(foundIn('7.2.12.old', 'image')).toEqual(['kept lost release'])
})

test('a kernel without the drivers is refused', () => {
  // Proves that its build configuration and its modules are both looked at.
  const options = (text: string) => ({ options: parseKernelConfig(text), modules: undefined })
  const all = 'CONFIG_DEV_DAX=m\nCONFIG_DEV_DAX_HMEM=m\nCONFIG_EFI_SOFT_RESERVE=y\nCONFIG_DEVMEM=y\n'
  expect(found(line, [dax, mem], { build: options(all) })).toEqual([])
  const without = all
    .replace('CONFIG_DEV_DAX_HMEM=m', '# CONFIG_DEV_DAX_HMEM is not set')
    .replace('DEVMEM=y', 'DEVMEM=n')
  expect(check(line, [dax, mem], { build: options(without) }).map(({ reason }) => reason)).toEqual([
    'the next kernel is built without CONFIG_DEV_DAX_HMEM',
    'the next kernel is built without CONFIG_DEVMEM',
  ])
  const modules = new Set(['device_dax'])
  expect(found(line, [dax], { build: { options: undefined, modules } })).toEqual(['guests lost driver'])
})

test('a line that is built into the kernel comes first, or is the only one', () => {
  // Proves that a kernel which does not read the line that it is given is refused for what it reads.
  const options = (text: string) => ({ options: parseKernelConfig(text), modules: undefined })
  const drivers =
    'CONFIG_DEV_DAX=m\nCONFIG_DEV_DAX_HMEM=m\nCONFIG_EFI_SOFT_RESERVE=y\nCONFIG_DEVMEM=y\nCONFIG_CMDLINE_BOOL=y\n'
  const mem = 'CONFIG_CMDLINE="root=\\"/dev/sda1\\" mem=1G"\n'
  const override = 'CONFIG_CMDLINE_OVERRIDE=y\n'
  expect(found(line, [dax], { build: options(`${drivers}${mem}`) })).toEqual(['guests lost memoryLimit'])
  const overridden = check(line, [dax], { build: options(`${drivers}${mem}${override}`) })
  expect(overridden[0]).toMatchObject({
    range: null,
    id: 'lineOverridden',
    reason: expect.stringMatching(/'root="\/dev\/sda1" mem=1G'/),
  })
  expect(overridden.map(({ result, id }) => `${result} ${id}`)).toContain('lost memory')
  // The kernel chooses its place by the line that the boot loader gives, before it reads its own.
  const own = `CONFIG_CMDLINE="${line}"\n`
  expect(found('quiet', [dax], { build: options(`${drivers}${own}`) })).toEqual(['guests lost randomisation'])
  expect(found('nokaslr', [dax], { build: options(`${drivers}${own}${override}`) })).toEqual([
    'null warning lineOverridden',
  ])
})
