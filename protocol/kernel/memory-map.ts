import type { AddressSpan } from './address-span'

/** An entry of the kernel's memory map, with the entries inside it. */
export interface MapEntry extends AddressSpan {
  readonly name: string
  readonly inside: readonly MapEntry[]
}

/** Nobody can tell from such a text where memory is; the message says why. */
export class MemoryMapError extends Error {
  override readonly name = 'MemoryMapError'
}

/**
 * The contents of /proc/iomem, or of a copy of it.
 * @throws MemoryMapError where the kernel hid the addresses, as it does from everybody but root, or the text is something else
 */
export function parseMemoryMap(text: string): MapEntry[] {
  const top: MutableEntry[] = []
  const open: MutableEntry[] = []
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const match = /^( *)([0-9a-f]{1,16})-([0-9a-f]{1,16}) : (.*)$/.exec(line.trimEnd())
    if (!match) throw new MemoryMapError(`line ${index + 1} is not of the form of /proc/iomem: '${line}'`)
    const [, blanks, first, last, name] = match as unknown as [string, string, string, string, string]
    const entry = {
      start: Number.parseInt(first, 16),
      end: Number.parseInt(last, 16) + 1,
      name,
      inside: [],
    }
    const depth = blanks.length / 2
    open.length = Math.min(depth, open.length)
    const siblings = open.at(-1)?.inside ?? top
    siblings.push(entry)
    open.push(entry)
  }
  if (top.length === 0) throw new MemoryMapError('it has no entries')
  if (top.every(({ start, end }) => start === 0 && end === 1))
    throw new MemoryMapError('all its addresses are zero: the kernel shows them to root only')
  return top
}

interface MutableEntry extends AddressSpan {
  name: string
  inside: MutableEntry[]
}

/** The kernel's own memory. Memory that a driver has given it later, as "System RAM (kmem)", does not count. */
export function systemRam(map: readonly MapEntry[]): MapEntry[] {
  return map.filter(({ name }) => name === 'System RAM')
}

/** Yields all entries, also those inside others. */
function* entriesOf(map: readonly MapEntry[]): Generator<MapEntry> {
  for (const entry of map) {
    yield entry
    yield* entriesOf(entry.inside)
  }
}

/** The place of the running kernel. */
export function kernelImage(map: readonly MapEntry[]): MapEntry[] {
  return [...entriesOf(map)].filter(({ name }) => /^Kernel (code|rodata|data|bss)$/.test(name))
}

/** Memory of the CXL drivers: dax_hmem leaves soft-reserved memory in it to them. */
export function cxlMemory(map: readonly MapEntry[]): MapEntry[] {
  return [...entriesOf(map)].filter(({ name }) => /^CXL Window \d+$/.test(name))
}

/** Special-purpose memory, also where the kernel shows it below the device that a driver has made of it. */
export function softReserved(map: readonly MapEntry[]): MapEntry[] {
  return [...entriesOf(map)].filter(({ name }) => name === 'Soft Reserved')
}
