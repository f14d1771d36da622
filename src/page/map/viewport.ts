import { roundUp } from '../../../protocol/units'

/** The visible part of a range, in bytes. */
export interface View {
  start: number
  span: number
}

/** The bounds of a view: a range of so many bytes, down to one unit of it. */
export interface Bounds {
  bytes: number
  unitBytes: number
}

export function whole({ bytes }: Bounds): View {
  return { start: 0, span: bytes }
}

export function isWhole(view: View, { bytes }: Bounds): boolean {
  return view.span >= bytes
}

/** Zoom in by a factor (below one: out), keeping the byte at that fraction of the width where it is. */
export function zoom(view: View, factor: number, fraction: number, bounds: Bounds): View {
  const span = Math.min(bounds.bytes, Math.max(bounds.unitBytes, view.span / factor))
  return within({ start: view.start + (view.span - span) * fraction, span }, bounds)
}

/** Move by a fraction of the view. */
export function pan(view: View, fraction: number, bounds: Bounds): View {
  return within({ start: view.start + view.span * fraction, span: view.span }, bounds)
}

/** A view with the extent in its middle, large enough to stand apart from its neighbours. */
export function around(start: number, length: number, bounds: Bounds): View {
  const span = Math.min(bounds.bytes, Math.max(bounds.unitBytes, length * 3))
  return within({ start: start + length / 2 - span / 2, span }, bounds)
}

/** The same view, moved only as far as needed to see the extent. */
export function reveal(view: View, start: number, length: number, bounds: Bounds): View {
  if (start >= view.start && start + length <= view.start + view.span) return view
  return length > view.span
    ? around(start, length, bounds)
    : within({ start: start + length / 2 - view.span / 2, span: view.span }, bounds)
}

export function within({ start, span }: View, { bytes, unitBytes }: Bounds): View {
  const width = Math.min(bytes, Math.max(unitBytes, span))
  return { start: Math.min(bytes - width, Math.max(0, start)), span: width }
}

/** Round offsets for marks on a ruler, about so many, in powers of two. */
export function ticks(view: View, about: number): number[] {
  const step = 2 ** Math.ceil(Math.log2(view.span / Math.max(1, about)))
  const marks: number[] = []
  for (let mark = roundUp(view.start, step); mark <= view.start + view.span; mark += step) marks.push(mark)
  return marks
}
