import { ExtentAllocator } from '../../src/broker/allocator/extent-allocator'
import { type Report, rowOf } from './rounds'

/** Sizes in GiB and how often VMs have them. */
const mix: readonly (readonly [size: number, weight: number])[] = [
  ...([
    [1, 10],
    [2, 20],
    [3, 4],
    [4, 22],
    [6, 5],
    [8, 18],
    [12, 4],
    [16, 9],
    [24, 2],
    [32, 4],
    [64, 1.5],
    [96, 0.5],
  ] as const),
]
const totalWeight = mix.reduce((sum, [, weight]) => sum + weight, 0)
/** 4 TiB in units of 1 GiB. */
const units = 4096

/** An allocator of whole, contiguous pieces. Places are opaque to the simulation. */
interface Strategy {
  take(size: number): number | undefined
  give(offset: number, size: number): void
}

function membroker(): Strategy {
  const allocator = new ExtentAllocator({ bytes: units, unit: 1 })
  return {
    take: bytes => allocator.allocate({ bytes, contiguous: true, extentsMax: 1 })?.[0]?.offset,
    give: (offset, length) => allocator.free([{ offset, length }]),
  }
}

/** Free pieces in order of their offsets, and which of those that fit is taken. */
function freeList(choose: (pieces: readonly [number, number][], size: number) => number): Strategy {
  const pieces: [number, number][] = [[0, units]]
  return {
    take(size) {
      const index = choose(pieces, size)
      if (index < 0) return undefined
      const piece = pieces[index]!
      const [offset, length] = piece
      if (length === size) pieces.splice(index, 1)
      else {
        piece[0] += size
        piece[1] -= size
      }
      return offset
    },
    give(offset, size) {
      let index = 0
      while (index < pieces.length && pieces[index]![0] < offset) index++
      pieces.splice(index, 0, [offset, size])
      const next = pieces[index + 1]
      if (next && next[0] === offset + size) {
        pieces[index]![1] += next[1]
        pieces.splice(index + 1, 1)
      }
      const before = pieces[index - 1]
      if (before && before[0] + before[1] === offset) {
        before[1] += pieces[index]![1]
        pieces.splice(index, 1)
      }
    },
  }
}

const bestFit = () =>
  freeList((pieces, size) => {
    let best = -1
    for (let index = 0; index < pieces.length; index++) {
      const length = pieces[index]![1]
      if (length >= size && (best < 0 || length < pieces[best]![1])) best = index
    }
    return best
  })

/** The first piece of the lowest class of sizes (powers of two) that has one which fits. */
const segregatedFit = () =>
  freeList((pieces, size) => {
    let best = -1
    let bestClass = Infinity
    for (let index = 0; index < pieces.length; index++) {
      const length = pieces[index]![1]
      const sizeClass = Math.floor(Math.log2(length))
      if (length >= size && sizeClass < bestClass) [best, bestClass] = [index, sizeClass]
    }
    return best
  })

/** Powers of two; the rest of a block is lost to its user. */
function buddy(): Strategy {
  const orders = Math.log2(units)
  const free = Array.from({ length: orders + 1 }, () => new Set<number>())
  free[orders]!.add(0)
  const orderOf = (size: number) => Math.ceil(Math.log2(size))
  return {
    take(size) {
      const wanted = orderOf(size)
      let order = wanted
      while (order <= orders && free[order]!.size === 0) order++
      if (order > orders) return undefined
      const [offset] = free[order]!
      free[order]!.delete(offset!)
      while (order > wanted) free[--order]!.add(offset! + 2 ** order)
      return offset
    },
    give(offset, size) {
      let order = orderOf(size)
      let at = offset
      for (; order < orders; order++) {
        const other = at ^ (2 ** order)
        if (!free[order]!.delete(other)) break
        at = Math.min(at, other)
      }
      free[order]!.add(at)
    },
  }
}

/** Mulberry32: the same VMs for each strategy. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function sizeBy(random: number): number {
  let left = random * totalWeight
  for (const [size, weight] of mix) {
    left -= weight
    if (left < 0) return size
  }
  return mix[0]![0]
}

/** The part of the memory that VMs have when the next one finds no room: the mean of all such moments, after a warm-up. */
function usedAtRefusal(strategy: Strategy, operations: number): number {
  const random = randomOf(42)
  const live: [offset: number, size: number][] = []
  let used = 0
  let sum = 0
  let refusals = 0
  let next = sizeBy(random())
  for (let operation = 0; operation < operations; operation++) {
    const offset = strategy.take(next)
    if (offset !== undefined) {
      live.push([offset, next])
      used += next
      next = sizeBy(random())
      continue
    }
    if (operation > operations / 10) {
      sum += used / units
      refusals++
    }
    const index = Math.floor(random() * live.length)
    const [at, size] = live[index]!
    live[index] = live.at(-1)!
    live.pop()
    strategy.give(at, size)
    used -= size
  }
  return sum / refusals
}

/** How full a host of 4 TiB becomes before a VM, in one piece, finds no room. */
export function measureFragmentation(operations: number, report: Report): void {
  const ours = usedAtRefusal(membroker(), operations)
  const others = Object.entries({ 'best fit': bestFit(), buddy: buddy(), 'segregated fit': segregatedFit() })
  report(
    rowOf(
      `memory in use when a VM finds no room, after ${operations} operations`,
      [ours],
      Object.fromEntries(others.map(([name, strategy]) => [name, [usedAtRefusal(strategy, operations)]])),
      'fraction',
    ),
  )
}
