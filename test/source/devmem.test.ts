/** Proves which physical ranges the broker dares to write to, and that no other broker uses them, or a part of them. */
import { closeSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { takeLockFile } from '../../native/lock-file'
import { checkReserved, takeLocks } from '../../src/broker/source/devmem/devmem'

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

test('ranges that overlap exclude each other, by files that only root can open, and so does a broker of before', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-devmem-'))
  const take = (base: number, bytes: number) => takeLocks(base, bytes, folder)
  const held = take(0x60000000, 64 * MiB)
  held.push(...take(0x64000000, 64 * MiB))
  for (const base of [0x60000000, 0x5ffff000, 0x63fff000])
    expect(() => take(base, 8192)).toThrow('another broker uses memory of')
  const files = readdirSync(folder)
  expect(files).toContain('devmem.lock')
  for (const file of files) expect(statSync(path.join(folder, file)).mode & 0o777).toBe(0o600)
  for (const fd of held) closeSync(fd)
  const before = takeLockFile(path.join(folder, 'devmem-60000000.lock'), () => new Error('taken'))
  expect(() => take(0x60000000, MiB)).toThrow('another broker uses memory of')
  closeSync(before)
  for (const fd of take(0x60000000, MiB)) closeSync(fd)
  rmSync(folder, { recursive: true })
})
