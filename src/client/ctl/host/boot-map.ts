import { parseKernelSize } from '../../../../protocol/units'
import { type Parameter, valuesOf } from './command-line'
import { type Extent, overlap } from './extent'
import { type Memmap, memoryType, parseMemmap } from './memmap'

/** Memory of one type, as the firmware or the kernel's own map has it. */
export interface TypedExtent extends Extent {
  readonly type: number
}

/**
 * The memory map with which a kernel starts: the firmware's, changed by memmap= and mem= in their order. It is a list
 * in which entries may overlap until the end; then the greater type wins. A change applies only to entries from
 * before it.
 */
export function bootMap(firmware: readonly TypedExtent[], parameters: readonly Parameter[]): TypedExtent[] {
  let map = [...firmware]
  for (const { name, value } of parameters) {
    if (value === undefined) continue
    if (name === 'memmap') for (const part of parseMemmap(value)) map = applied(map, part)
    const limit = name === 'mem' ? parseKernelSize(value) : undefined
    if (limit) map = applied(map, { kind: 'limit', bytes: limit, rest: '' })
  }
  return flattened(map)
}

function applied(map: TypedExtent[], part: Memmap): TypedExtent[] {
  switch (part.kind) {
    case 'exactmap':
      return []
    case 'limit':
      return changed(map, { start: part.bytes, end: Infinity }, memoryType.ram, undefined)
    case 'add':
      return [...map, { start: part.start, end: part.start + part.bytes, type: part.type }]
    case 'change': {
      const extent = { start: part.start, end: part.start + part.bytes }
      if (part.from === undefined && part.to !== undefined) return [...map, { ...extent, type: part.to }]
      return changed(map, extent, part.from, part.to)
    }
    case 'broken':
      return map
  }
}

/** from undefined: whatever type; to undefined: nothing is left there. */
function changed(
  map: readonly TypedExtent[],
  extent: Extent,
  from: number | undefined,
  to: number | undefined,
): TypedExtent[] {
  return map.flatMap(entry => {
    if (!overlap(entry, extent) || (from !== undefined && entry.type !== from)) return [entry]
    const start = Math.max(entry.start, extent.start)
    const end = Math.min(entry.end, extent.end)
    return [
      { ...entry, end: start },
      ...(to === undefined ? [] : [{ start, end, type: to }]),
      { ...entry, start: end },
    ].filter(part => part.start < part.end)
  })
}

function flattened(map: readonly TypedExtent[]): TypedExtent[] {
  const edges = [...new Set(map.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b)
  const flat: TypedExtent[] = []
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

/** At most so many extents are kept free by the kernel that chooses its own place at random. */
const avoidedMax = 4

/** Where the kernel's address-space randomisation does not put the kernel. */
export interface Randomisation {
  readonly off: boolean
  readonly avoided: readonly Extent[]
}

/**
 * It keeps out of the first four extents of the forms nn$ss, nn#ss and nn!ss, and gives up where one memmap= goes on
 * after the fourth; those in later memmap= it does not see.
 */
export function randomisation(parameters: readonly Parameter[]): Randomisation {
  const avoided: Extent[] = []
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
