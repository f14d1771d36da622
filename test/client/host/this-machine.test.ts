/**
 * Proves that `reserve` on the running machine leaves alone all memory that firmware, boot loader or another range
 * use.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { overlap } from '../../../protocol/kernel/address-span'
import { HostFiles } from '../../../src/client/ctl/host/host-files'
import { plan } from '../../../src/client/ctl/host/plan'
import { thisMachine } from '../../../src/client/ctl/host/this-machine'

const GiB = 2 ** 30
const MiB = 2 ** 20

let root: string
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'membroker-machine-'))
  put('proc/iomem', '00100000-bfffffff : System RAM\n100000000-1ffffffff : System RAM\n')
})
afterEach(() => rmSync(root, { recursive: true }))

function put(file: string, text: string | Buffer): void {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true })
  writeFileSync(path.join(root, file), text)
}

function firmware(...entries: Array<[string, string, string]>): void {
  for (const [index, [start, end, type]] of entries.entries()) {
    put(`sys/firmware/memmap/${index}/start`, start)
    put(`sys/firmware/memmap/${index}/end`, end)
    put(`sys/firmware/memmap/${index}/type`, type)
  }
}

function stretch(size: number, align = 2 * MiB) {
  const found = plan(
    { size, align, node: undefined, kind: 'devdax', leave: 0 },
    thisMachine(new HostFiles(root)).machine,
  )
  if ('refused' in found) throw new Error(found.refused)
  return found
}

test('without a firmware map everything that the kernel has may be planned with', () => {
  // Proves that a machine which hides that map is not refused, whatever its parameters are.
  put('proc/cmdline', 'quiet memmap=512M$0x100000000 memmap=512M%0x100000000-2+0xefffffff\n')
  expect(stretch(2 * GiB).start).toBe(4.5 * GiB + 2 * MiB)
})

test('memory that was added while the machine ran is left alone', () => {
  // Proves that no parameter names memory which is not there yet when the kernel reads it.
  firmware(['0x100000', '0xbfffffff', 'System RAM'], ['0xf0000000', '0xffffffff', 'Reserved'])
  expect(stretch(GiB).start).toBe(GiB)
  expect(() => stretch(3 * GiB)).toThrow(/the largest has/)
})

test('a second range keeps away from the first', () => {
  // Proves that two soft-reserved ranges never touch: the kernel would make one region of both.
  firmware(['0x100000', '0xbfffffff', 'System RAM'], ['0x100000000', '0x1ffffffff', 'System RAM'])
  put('proc/cmdline', 'memmap=1G$0x100000000 memmap=1G%0x100000000-2+0xefffffff')
  put('proc/iomem', '00100000-bfffffff : System RAM\n140000000-1ffffffff : System RAM\n')
  expect(stretch(GiB).start).toBe(5 * GiB + 2 * MiB)
})

test('where the boot loader puts the initrd is left alone', () => {
  // Proves that the place which the boot loader told this kernel is gone round.
  const parameters = Buffer.alloc(4096)
  parameters.writeUInt32LE(0x4000_0000, 0x218)
  parameters.writeUInt32LE(0x0a00_0000, 0x21c)
  put('sys/kernel/boot_params/data', parameters)
  put('proc/iomem', '00100000-bfffffff : System RAM\n')
  const found = stretch(GiB)
  expect(overlap(found, { start: 0x4000_0000, end: 0x4a00_0000 })).toBe(false)
  expect(found.start).toBe(0x4a00_0000)
})

test('what the firmware has marked is known wherever the kernel shows it, and what a parameter has made is not taken for it', () => {
  // Proves that special-purpose memory is seen below the device of its driver, and where /proc/iomem has none.
  const nested = '100000000-1ffffffff : hmem.0\n  100000000-1ffffffff : Soft Reserved\n'
  put('proc/iomem', `00100000-bfffffff : System RAM\n${nested}`)
  const marked = () =>
    thisMachine(new HostFiles(root)).marked.map(({ start, end }) => [start / GiB, end / GiB])
  expect(marked()).toEqual([[4, 8]])
  firmware(['0x100000', '0xbfffffff', 'System RAM'], ['0x100000000', '0x1ffffffff', 'System RAM'])
  expect(marked()).toEqual([])
  firmware(['0x100000', '0xbfffffff', 'System RAM'], ['0x100000000', '0x1ffffffff', 'Soft Reserved'])
  put('proc/iomem', '00100000-bfffffff : System RAM\n')
  expect(marked()).toEqual([[4, 8]])
})
