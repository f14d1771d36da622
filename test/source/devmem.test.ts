/** Proves which physical ranges the broker dares to write to. */
import { checkReserved } from '../../src/broker/source/devmem/devmem'

const MiB = 2 ** 20
const iomem = `00000000-00000fff : Reserved
00001000-0009fbff : System RAM
000f0000-000fffff : Reserved
00100000-3fffffff : System RAM
  01000000-01ffffff : Kernel code
40000000-5fffffff : hmem.0
60000000-67ffffff : Reserved
68000000-bffdffff : System RAM
`
const commandLine = 'quiet memmap=512M$0x40000000 memmap=128M$0x60000000 rdinit=/init'
const refusal = (base: number, bytes: number, map = iomem, line = commandLine) => {
  try {
    checkReserved(base, bytes, map, line)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

test('what the command line reserved is taken, whole or in part', () => {
  expect(refusal(0x60000000, 128 * MiB)).toBeUndefined()
  expect(refusal(0x62000000, 4 * MiB)).toBeUndefined()
  expect(refusal(0x60000000, 128 * MiB, iomem, 'memmap=64M$0x1000,131072K$1610612736')).toBeUndefined()
})

test('what another parameter says, or another form of memmap=, reserves nothing', () => {
  for (const line of ['crashkernel=128M$0x60000000', 'memmap=128M@0x60000000', '-- memmap=128M$0x60000000'])
    expect(refusal(0x60000000, 128 * MiB, iomem, line)).toMatch(/may be the firmware/)
})

test.each([
  ['system memory', 0x10000000, MiB, /System RAM/],
  ['soft-reserved memory', 0x40000000, MiB, /hmem.0/],
  ['one byte beyond', 0x60000000, 128 * MiB + 4096, /not reserved/],
  ['one page before', 0x5ffff000, MiB, /not reserved/],
  ['nothing at all', 0x4_0000_0000, MiB, /'?nothing'? there/],
  ['what the firmware reserved', 0xf0000, 65536, /may be the firmware/],
])('%s is refused', (_, base, bytes, expected) => {
  expect(refusal(base, bytes)).toMatch(expected)
})

test('the advice names the parameter', () => {
  expect(refusal(0x10000000, 16 * MiB)).toContain('(memmap=16M$0x10000000)')
})

test('a map without addresses is no map', () => {
  expect(refusal(0x60000000, MiB, '00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n')).toMatch(
    'shows them to root only',
  )
})
