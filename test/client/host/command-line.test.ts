/** Proves that broker-ctl reads a kernel's command line, and makes its memory map, as the kernel does. */
import fc from 'fast-check'
import { listOf, parseCommandLine, switchedOn, valuesOf } from '../../../protocol/kernel/command-line'
import { memoryType, parseMemmap } from '../../../protocol/kernel/memmap'
import { formatKernelSize, parseKernelSize } from '../../../protocol/units'
import { bootMap, randomisation } from '../../../src/client/ctl/host/boot-map'

const MiB = 2 ** 20
const GiB = 2 ** 30

test("words, quotes and the end of the kernel's part are as in the kernel", () => {
  // Proves that what init gets is not taken for the kernel's, and that quotes keep blanks.
  expect(parseCommandLine('a  b=1 "c=x y" d="p q"\tmem=1G -- memmap=2G$4G\n')).toEqual([
    { name: 'a', value: undefined },
    { name: 'b', value: '1' },
    { name: 'c', value: 'x y' },
    { name: 'd', value: 'p q' },
    { name: 'mem', value: '1G' },
  ])
  expect(parseCommandLine('a "b c d=1')).toHaveLength(2)
})

test('names may have - or _, lists have commas, and the last switch counts', () => {
  // Proves that a blacklist or switch is found in every spelling the kernel knows.
  const line = parseCommandLine(
    'module-blacklist=kmem,dax_hmem module_blacklist=x dax-hmem.region-idle=1 s=1 s=0 t',
  )
  expect(listOf(line, 'module_blacklist')).toEqual(['kmem', 'dax_hmem', 'x'])
  expect([switchedOn(line, 'dax_hmem.region_idle'), switchedOn(line, 's'), switchedOn(line, 't')]).toEqual([
    true,
    false,
    true,
  ])
  expect(valuesOf(line, 'nothing')).toEqual([])
})

// The forms that the kernel's own parameter list documents, and what goes wrong with them.
test.each([
  ['exactmap', [{ kind: 'exactmap' }]],
  ['1G', [{ kind: 'limit', bytes: GiB, rest: '' }]],
  ['512M@1G', [{ kind: 'add', start: GiB, bytes: 512 * MiB, type: memoryType.ram }]],
  ['64K#0x18690000', [{ kind: 'add', start: 0x1869_0000, bytes: 65_536, type: memoryType.acpi }]],
  ['0x10000$0x18690000', [{ kind: 'add', start: 0x1869_0000, bytes: 0x1_0000, type: memoryType.reserved }]],
  ['4G!12G', [{ kind: 'add', start: 12 * GiB, bytes: 4 * GiB, type: memoryType.protected }]],
  [
    '512M%0x40000000-2+0xefffffff',
    [{ kind: 'change', start: GiB, bytes: 512 * MiB, from: 2, to: memoryType.softReserved }],
  ],
  ['1m%1g+7', [{ kind: 'change', start: GiB, bytes: MiB, from: undefined, to: 7 }]],
  ['1M%1G-1', [{ kind: 'change', start: GiB, bytes: MiB, from: 1, to: undefined }]],
  ['1M%1G', [{ kind: 'change', start: GiB, bytes: MiB, from: undefined, to: undefined }]],
  [
    '1M$1G,2M@2G',
    [
      { kind: 'add', start: GiB, bytes: MiB, type: 2 },
      { kind: 'add', start: 2 * GiB, bytes: 2 * MiB, type: 1 },
    ],
  ],
  // GRUB has read $0 as an empty variable: the kernel takes the size for the end of memory.
  ['512Mx40000000', [{ kind: 'limit', bytes: 512 * MiB, rest: 'x40000000' }]],
  ['1M%1G-2+soft', [{ kind: 'broken', reason: expect.stringContaining('-2+soft') }]],
  ['$1G', [{ kind: 'broken', reason: expect.stringContaining('size') }]],
])('memmap=%s is read as the kernel does', (value, parts) => {
  // Proves each form of the grammar.
  expect(parseMemmap(value)).toEqual(parts)
})

test('sizes have the bases and suffixes of the kernel', () => {
  // Proves that an octal or a small suffix does not move a range.
  expect(['010', '0x10k', '2T', '1e', '7', 'x'].map(parseKernelSize)).toEqual([
    8,
    16_384,
    2 * 2 ** 40,
    2 ** 60,
    7,
    undefined,
  ])
})

test('a size that is written is read as the same', () => {
  // Proves that no byte is lost between what is planned and what the kernel is told.
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 45 }), bytes => {
      expect(parseKernelSize(formatKernelSize(bytes))).toBe(bytes)
    }),
  )
})

const pc = [
  { start: 0, end: 0x9fc00, type: 1 },
  { start: 0x10_0000, end: 0xbffe_0000, type: 1 },
  { start: 0xbffe_0000, end: 0xc000_0000, type: 2 },
]
const typeAt = (line: string, address: number) =>
  bootMap(pc, parseCommandLine(line)).find(({ start, end }) => start <= address && end > address)?.type

// Tried on real kernels, in this order, with the results that stand here.
test.each([
  ['memmap=512M$1G memmap=512M%1G-2+0xefffffff', memoryType.softReserved],
  ['memmap=512M%1G-2+0xefffffff memmap=512M$1G', memoryType.reserved],
  ['nokaslr memmap=512M%1G-1+0xefffffff', memoryType.softReserved],
  ['mem=1G memmap=512M$1G memmap=512M%1G-2+0xefffffff', memoryType.softReserved],
  ['mem=1G memmap=512M%1G-1+0xefffffff', undefined],
  ['memmap=512M%1G-1+0xefffffff mem=1G', memoryType.softReserved],
  ['memmap=512Mx40000000', undefined],
  ['memmap=exactmap memmap=640K@0 memmap=900M@1M', undefined],
  ['', memoryType.ram],
  ['-- memmap=512M$1G', memoryType.ram],
])('with "%s" the memory at 1 GiB becomes type %s', (line, type) => {
  // Proves that order matters where it does, and not where it does not.
  expect(typeAt(line, GiB)).toBe(type)
})

test('of overlapping entries the greater type wins, and neighbours of a type are one', () => {
  // Proves that two soft-reserved ranges side by side are seen as the one region that the kernel makes of them.
  const line = 'memmap=1G%1G-1+0xefffffff memmap=512M%2G-1+0xefffffff'
  expect(bootMap(pc, parseCommandLine(line)).filter(({ type }) => type === memoryType.softReserved)).toEqual([
    { start: GiB, end: 2.5 * GiB, type: memoryType.softReserved },
  ])
})

test('the kernel keeps out of the first four reservations only', () => {
  // Proves what is known of its randomisation: a fifth in a parameter of its own is not seen, in the same list it ends it.
  const fifth = [1, 2, 3, 4, 5].map(at => `1M$${at}G`)
  const apart = randomisation(parseCommandLine(fifth.map(part => `memmap=${part}`).join(' ')))
  expect([apart.off, apart.avoided.map(({ start }) => start / GiB)]).toEqual([false, [1, 2, 3, 4]])
  expect(randomisation(parseCommandLine(`memmap=${fifth.join(',')}`)).off).toBe(true)
  expect(randomisation(parseCommandLine('memmap=1M%1G-1+0xefffffff memmap=1M@5G')).avoided).toEqual([])
  expect(randomisation(parseCommandLine('nokaslr')).off).toBe(true)
})
