import { type AddressSpan, overlap } from '../../../../protocol/kernel/address-span'
import { type Parameter, valuesOf } from '../../../../protocol/kernel/command-line'
import { type Memmap, memoryType, parseMemmap } from '../../../../protocol/kernel/memmap'
import { parseKernelSize } from '../../../../protocol/units'

/** Memory of one type, in the firmware's or the kernel's own map. */
export interface TypedSpan extends AddressSpan {
  readonly type: number
}

/**
 * The memory map with which a kernel starts: the firmware's. Each memmap= and mem= changes it, in their order. Entries of the
 * list may overlap until the end; then the greater type wins. A change applies only to earlier entries.
 */
export function bootMap(firmware: readonly TypedSpan[], parameters: readonly Parameter[]): TypedSpan[] {
  let map = [...firmware]
  for (const { name, value } of parameters) {
    if (value === undefined) continue
    if (name === 'memmap') for (const part of parseMemmap(value)) map = applied(map, part)
    const limit = name === 'mem' ? parseKernelSize(value) : undefined
    if (limit) map = applied(map, { kind: 'limit', bytes: limit, rest: '' })
  }
  return flattened(map)
}

function applied(map: TypedSpan[], part: Memmap): TypedSpan[] {
  switch (part.kind) {
    case 'exactmap':
      return []
    case 'limit':
      return changed(map, { start: part.bytes, end: Infinity }, memoryType.ram, undefined)
    case 'add':
      return [...map, { start: part.start, end: part.start + part.bytes, type: part.type }]
    case 'change': {
      const span = { start: part.start, end: part.start + part.bytes }
      if (part.from === undefined && part.to !== undefined) return [...map, { ...span, type: part.to }]
      return changed(map, span, part.from, part.to)
    }
    case 'broken':
      return map
  }
}

/** from undefined: it changes any type. to undefined: it leaves nothing there. */
function changed(
  map: readonly TypedSpan[],
  span: AddressSpan,
  from: number | undefined,
  to: number | undefined,
): TypedSpan[] {
  return map.flatMap(entry => {
    if (!overlap(entry, span) || (from !== undefined && entry.type !== from)) return [entry]
    const start = Math.max(entry.start, span.start)
    const end = Math.min(entry.end, span.end)
    return [
      { ...entry, end: start },
      ...(to === undefined ? [] : [{ start, end, type: to }]),
      { ...entry, start: end },
    ].filter(part => part.start < part.end)
  })
}

function flattened(map: readonly TypedSpan[]): TypedSpan[] {
  const edges = [...new Set(map.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b)
  const flat: TypedSpan[] = []
  for (const [index, start] of edges.entries()) {
    const end = edges[index + 1]
    if (end === undefined) break
    const types = map.filter(entry => entry.start <= start && entry.end >= end).map(({ type }) => type)
    if (types.length === 0) continue
    const type = Math.max(...types)
    const last = flat.at(-1)
    if (last?.end === start && last.type === type) flat[flat.length - 1] = { ...last, end }
    else flat.push({ start, end, type })
  }
  return flat
}

/** A kernel that chooses its own place at random avoids so many spans at most. */
const avoidedMax = 4

/** The places that the kernel's address-space randomisation avoids. */
interface Randomisation {
  readonly off: boolean
  readonly avoided: readonly AddressSpan[]
}

/**
 * It avoids the first four spans of the forms nn$ss, nn#ss and nn!ss. It gives up where one memmap= has more after the fourth.
 * It does not see spans of a later memmap=.
 */
export function randomisation(parameters: readonly Parameter[]): Randomisation {
  const avoided: AddressSpan[] = []
  let off = parameters.some(({ name, value }) => name === 'nokaslr' && value === undefined)
  for (const value of valuesOf(parameters, 'memmap')) {
    if (avoided.length >= avoidedMax) break
    const parts = value.split(',')
    for (const [index, text] of parts.entries()) {
      const [part] = parseMemmap(text)
      if (!/^\d/.test(text)) break
      if (part!.kind === 'add' && part!.type !== memoryType.ram)
        avoided.push({ start: part!.start, end: part!.start + part!.bytes })
      if (avoided.length >= avoidedMax) {
        if (index + 1 < parts.length) off = true
        break
      }
    }
  }
  return { off, avoided }
}
