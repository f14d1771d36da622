import { type AddressSpan, overlap, spanBytes, without } from '../../../../protocol/kernel/address-span'
import { type MapEntry, systemRam } from '../../../../protocol/kernel/memory-map'
import { reservationOf, type SourceKind } from '../../../../protocol/source'
import {
  formatKernelSize,
  formatSize,
  GiB,
  isPowerOfTwo,
  MiB,
  roundDown,
  roundUp,
} from '../../../../protocol/units'
import { joined, type NodeSpan } from './numa-nodes'

/** The operator's wish. Bytes; undefined: reserve chooses. */
export interface Wish {
  readonly size: number
  readonly align: number | undefined
  readonly node: number | undefined
  readonly kind: SourceKind
  readonly leave: number | undefined
}

/** Facts of the machine. */
export interface Machine {
  readonly map: readonly MapEntry[]
  /** Empty: nobody knows which memory is on which node. */
  readonly nodes: readonly NodeSpan[]
  /** Other memory to avoid: the boot loader's place for the initrd, other reservations. */
  readonly taken: readonly AddressSpan[]
}

/** A stretch of memory that the operator could reserve. */
export interface Stretch extends AddressSpan {
  readonly align: number
  readonly node: number | undefined
  /** The host keeps so much memory. */
  readonly left: number
  /** The host needs so much of that to manage the stretch. */
  readonly overhead: number
}

/** The reason why there is no plan; a sentence. */
interface Refused {
  readonly refused: string
}

/** The kernel and the boot loader use this memory: for real mode, and for their first loads. */
const lowestMiB = 16
/** The units of a device-DAX region; a huge page. */
const alignMin = 2 * MiB
const pageBytes = 4096
/** A kernel, its initrd and kexec's additions go here: they start at the top of memory and go down. */
const headroom = 512 * MiB

/** The host's part of so much memory: enough for a hypervisor with a few services. */
function defaultLeave(total: number): number {
  return Math.min(16 * GiB, Math.max(GiB, roundDown(total / 16, MiB)))
}

/** Chooses the memory to reserve. */
export function plan(wish: Wish, machine: Machine): Stretch | Refused {
  const { size, kind } = wish
  const isSoftReserved = reservationOf(kind)?.as === 'softReserved'
  if (wish.align !== undefined && (wish.align < alignMin || !isPowerOfTwo(wish.align)))
    return { refused: `the alignment must be a power of two of at least ${formatSize(alignMin)}` }
  const unit = wish.align ?? alignMin
  if (size < unit || size % unit !== 0)
    return {
      refused: `${formatKernelSize(size)} is no multiple of ${formatSize(unit)}; ask for ${formatKernelSize(roundUp(Math.max(size, 1), unit))}`,
    }
  const nodes = joined(machine.nodes)
  const known = [...new Set(nodes.map(({ node }) => node))].sort((a, b) => a - b)
  if (wish.node !== undefined && !known.includes(wish.node))
    return {
      refused: `there is no node ${wish.node} with memory; ${known.length === 0 ? 'no node is known' : `there are: ${known.join(', ')}`}`,
    }
  const free = freeStretches(machine, nodes).filter(
    ({ node }) => wish.node === undefined || node === wish.node,
  )
  const ram = systemRam(machine.map)
  const top = Math.max(...ram.map(({ end }) => end))
  const aligns = wish.align !== undefined ? [wish.align] : size % GiB === 0 ? [GiB, alignMin] : [alignMin]
  for (const align of aligns) {
    const place = lowest(free, size, align, top)
    if (place) return judged({ ...place, align }, wish, unit, spanBytes(ram))
  }
  const largest = Math.max(0, ...free.map(piece => alignedBytes(piece, unit)))
  const where = wish.node === undefined ? 'of memory' : `of memory on node ${wish.node}`
  const nothing = `no stretch ${where} of ${formatSize(size)} is in one piece`
  return {
    refused:
      largest === 0
        ? `${nothing}, and none of any size`
        : `${nothing}; the largest has ${formatKernelSize(largest)}${
            isSoftReserved ? '; several ranges may serve as well as one' : ''
          }`,
  }
}

/** Returns the candidates: memory that nobody would use again at the next boot, each piece on one node. */
function freeStretches(
  { map, taken }: Machine,
  nodes: readonly NodeSpan[],
): (AddressSpan & { node: number | undefined })[] {
  const low = { start: 0, end: lowestMiB * MiB }
  const pieces = systemRam(map).flatMap(entry => without(entry, [low, ...entry.inside, ...taken]))
  if (nodes.length === 0) return pieces.map(piece => ({ ...piece, node: undefined }))
  return pieces.flatMap(piece =>
    nodes
      .filter(span => overlap(span, piece))
      .map(span => ({
        start: Math.max(span.start, piece.start),
        end: Math.min(span.end, piece.end),
        node: span.node,
      })),
  )
}

/**
 * Below 4 GiB memory is scarce, and boot loaders put kernels and initrds there, from below and from above. kexec begins at the
 * top of all memory. So the plan takes a low place, but not one of the first, and if possible not up to the very top.
 */
function lowest<T extends AddressSpan>(
  free: readonly T[],
  size: number,
  align: number,
  top: number,
): T | undefined {
  for (const end of [top - headroom, top])
    for (const floor of [4 * GiB, GiB, 256 * MiB, 0])
      for (const piece of [...free].sort((a, b) => a.start - b.start)) {
        const start = roundUp(Math.max(piece.start, floor), align)
        if (start + size <= Math.min(piece.end, end)) return { ...piece, start, end: start + size }
      }
  return undefined
}

function judged(
  place: AddressSpan & { node: number | undefined; align: number },
  wish: Wish,
  unit: number,
  total: number,
): Stretch | Refused {
  const { overheadBytesPerPage } = reservationOf(wish.kind)!
  const overhead = (wish.size / pageBytes) * overheadBytesPerPage
  const left = total - wish.size
  const leave = wish.leave ?? defaultLeave(total)
  if (left - overhead >= leave) return { ...place, left, overhead }
  const most = Math.floor((total - leave) / (1 + overheadBytesPerPage / pageBytes))
  const possible = roundDown(most, unit)
  const kept = `of ${formatSize(total)} the host would keep ${formatSize(Math.max(0, left - overhead))}`
  const needs = overhead === 0 ? '' : ` after ${formatSize(overhead)} for managing the range`
  return {
    refused: `${kept}${needs}, less than the ${formatSize(leave)} that --leave asks for; ${
      possible > 0 ? `at most ${formatKernelSize(possible)} can be reserved` : 'nothing can be reserved'
    }`,
  }
}

function alignedBytes({ start, end }: AddressSpan, align: number): number {
  return Math.max(0, roundDown(end, align) - roundUp(start, align))
}
