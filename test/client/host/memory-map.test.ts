/**
 * Proves that broker-ctl reads memory maps and NUMA nodes of real machines correctly, and refuses a map without
 * addresses.
 */
import { spanBytes, without } from '../../../protocol/kernel/address-span'
import { MemoryMapError, parseMemoryMap, systemRam } from '../../../protocol/kernel/memory-map'
import { joined, parseNodes } from '../../../src/client/ctl/host/numa-nodes'
import { machines } from './machines'

test('a memory map keeps what lies inside what', () => {
  // Proves that the kernel's own parts are found as parts of the memory they are in.
  const low = machines.twoSocket.map.find(({ start }) => start === 0x10_0000)!
  expect(low.inside.map(({ name }) => name)).toEqual([
    'Crash kernel',
    'Kernel code',
    'Kernel rodata',
    'Kernel data',
    'Kernel bss',
  ])
  expect(low.inside[1]).toMatchObject({ start: 0x5200_0000, end: 0x5300_2f28 })
  expect(spanBytes(systemRam(machines.twoSocket.map)) / 2 ** 30).toBeCloseTo(511.7, 0)
})

test("memory that became the kernel's later is not taken for its own", () => {
  // Proves that memory which a driver gave to the kernel, and which is not there when it boots, is left alone.
  const map = parseMemoryMap('00100000-3fffffff : System RAM\n100000000-13fffffff : System RAM (kmem)\n')
  expect(systemRam(map).map(({ start }) => start)).toEqual([0x10_0000])
})

test.each([
  ['zeros', '00000000-00000000 : System RAM\n00000000-00000000 : Reserved\n', /root only/],
  ['nothing', '\n', /no entries/],
  ['something else', 'MemTotal: 4 kB\n', /line 1 is not of the form/],
])('a map of %s is refused', (_what, text, reason) => {
  // Proves that nothing is planned with a map that says nothing.
  expect(() => parseMemoryMap(text)).toThrow(MemoryMapError)
  expect(() => parseMemoryMap(text)).toThrow(reason)
})

test('zones become the spans of nodes, and empty zones nothing', () => {
  // Proves that pages are counted right, and that the hole below 4 GiB does not cut a node in two.
  expect(joined(machines.twoSocket.nodes)).toEqual([
    { node: 0, start: 0x1000, end: 0x40_8000_0000 },
    { node: 1, start: 0x40_8000_0000, end: 0x80_8000_0000 },
  ])
})

test('what two nodes span belongs to neither', () => {
  // Proves that memory is not called a node's where the spans don't say whose it is.
  const zone = (node: number, first: number, pages: number) =>
    `Node ${node}, zone   Normal\n        spanned  ${pages}\n  start_pfn:           ${first}\n`
  expect(parseNodes(zone(0, 0, 100) + zone(1, 50, 100))).toEqual([
    { node: 0, start: 0, end: 50 * 4096 },
    { node: 1, start: 100 * 4096, end: 150 * 4096 },
  ])
})

test('what is left of an extent is all but the holes, however they lie', () => {
  // Proves the arithmetic on which no overlap rests.
  const holes = [
    { start: 30, end: 40 },
    { start: 0, end: 10 },
    { start: 35, end: 50 },
    { start: 95, end: 200 },
  ]
  expect(without({ start: 5, end: 100 }, holes)).toEqual([
    { start: 10, end: 30 },
    { start: 50, end: 95 },
  ])
  expect(without({ start: 5, end: 100 }, [{ start: 0, end: 100 }])).toEqual([])
})
