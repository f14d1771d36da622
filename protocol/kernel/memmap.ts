import type { Reservation } from '../source'
import { formatKernelSize, parseKernelSize, takeKernelSize } from '../units'

/**
 * One part of memmap=, an order to the kernel. Bytes throughout.
 *   exactmap: the kernel forgets the firmware's map
 *   limit:    nn      there is no RAM from there on; also if the rest has no form that the kernel knows
 *   add:      nn@ss, nn#ss, nn$ss, nn!ss   there is also memory of a type; without an address, from 0 on
 *   change:   nn%ss-old+new   memory of the old type becomes the new type. Without old, memory of any type does;
 *             without new, nothing remains there
 *   broken:   the kernel does not take it
 */
export type Memmap =
  | { readonly kind: 'exactmap' }
  | { readonly kind: 'limit'; readonly bytes: number; readonly rest: string }
  | { readonly kind: 'add'; readonly start: number; readonly bytes: number; readonly type: number }
  | {
      readonly kind: 'change'
      readonly start: number
      readonly bytes: number
      readonly from: number | undefined
      readonly to: number | undefined
    }
  | { readonly kind: 'broken'; readonly reason: string }

/** Types of memory as in the firmware's map and in nn%ss-old+new. */
export const memoryType = {
  ram: 1,
  reserved: 2,
  acpi: 3,
  acpiNvs: 4,
  unusable: 5,
  persistent: 7,
  protected: 12,
  softReserved: 0xefff_ffff,
} as const

const added: Record<string, number> = {
  '@': memoryType.ram,
  '#': memoryType.acpi,
  $: memoryType.reserved,
  '!': memoryType.protected,
}

/** The values of memmap= that give memory a name in the kernel's map, in their order. */
export function memmapsFor(
  as: Reservation['as'],
  { base, bytes }: { base: number; bytes: number },
): string[] {
  const size = formatKernelSize(bytes)
  const at = `0x${base.toString(16)}`
  if (as === 'persistent') return [`memmap=${size}!${at}`]
  // The kernel's address-space randomisation understands only the first form.
  return [`memmap=${size}$${at}`, ...(as === 'softReserved' ? [`memmap=${size}%${at}-2+0xefffffff`] : [])]
}

/** Splits a value of memmap= into its parts; commas separate them. */
export function parseMemmap(value: string): Memmap[] {
  return value.split(',').map(parseOne)
}

function parseOne(text: string): Memmap {
  if (text.startsWith('exactmap')) return { kind: 'exactmap' }
  const size = takeKernelSize(text)
  if (!size) return { kind: 'broken', reason: `'${text}' does not begin with a size` }
  const { bytes, rest } = size
  const sign = rest[0]
  const at = takeKernelSize(rest.slice(1))
  if (sign !== undefined && sign in added)
    return { kind: 'add', start: at?.bytes ?? 0, bytes, type: added[sign]! }
  if (sign !== '%') return { kind: 'limit', bytes, rest }
  if (!at) return { kind: 'broken', reason: `'${text}' has no address after '%'` }
  const types = /^(?:-(0x[0-9a-f]+|\d+))?(?:\+(0x[0-9a-f]+|\d+))?$/i.exec(at.rest)
  if (!types) return { kind: 'broken', reason: `'${text}': '${at.rest}' is not -OLDTYPE+NEWTYPE` }
  const [from, to] = [types[1], types[2]].map(type => (type === undefined ? 0 : parseKernelSize(type)))
  return { kind: 'change', start: at.bytes, bytes, from: from || undefined, to: to || undefined }
}
