import { hex, printable, size } from '../format'
import type { Piece } from '../map/extent-index'
import { paint } from '../map/paint'
import type { Model } from '../state/model'
import type { RangeMap } from '../state/range-map'

/** An extent in words. */
export function describePiece({ inventory }: Model, { range }: RangeMap, piece: Piece): string {
  const base = range.base ?? 0
  const place = `${hex(base + piece.start)} – ${hex(base + piece.end)}, ${size(piece.end - piece.start)}`
  const allocation = inventory.byId.get(piece.ref)
  if (allocation) {
    const holder =
      typeof allocation.holderPid === 'number' ? `held by process ${allocation.holderPid}` : 'unclaimed'
    return `${printable(allocation.name)}: ${place}, uid ${allocation.uid}, ${holder}, ${allocation.verdict}`
  }
  const retired = inventory.retired.get(piece.ref)
  if (retired) return `${retired.state}, was ${printable(retired.allocation)}: ${place}, uid ${retired.uid}`
  return piece.paint === paint('table') ? `allocation table: ${place}` : `free: ${place}`
}
