/** How long one piece of work may keep a quiet broker waiting: about as long as a grant takes. Its pauses cost it a few percent. */
const sliceMsMin = 0.25
/** A slice beside others that use their turns in full. */
const sliceMsMax = 2

/** Pieces of work that wait for their next slice. */
const waiting: ((sliceMs: number) => void)[] = []
/** When the last slice ended. */
let endedAt = 0

/**
 * Work that grows with somebody's possessions. It runs in slices, one in each iteration of the event loop, however many pieces
 * of work there are; calls of others run between them. A slice may take as long as the others just took, within bounds: who
 * floods the broker does not slow this work down more than others' calls.
 */
export class Slices {
  private since = performance.now()
  private sliceMs = sliceMsMin

  /** Call it between two steps; undefined while the slice has time left, so that little work stays in one iteration of the event loop. */
  next(): Promise<void> | undefined {
    const now = performance.now()
    if (now - this.since < this.sliceMs) return undefined
    endedAt = now
    return new Promise(resolve => {
      waiting.push(sliceMs => {
        this.since = performance.now()
        this.sliceMs = sliceMs
        resolve()
      })
      if (waiting.length === 1) setImmediate(nextSlice)
    })
  }
}

function nextSlice(): void {
  const othersMs = performance.now() - endedAt
  const begin = waiting.shift()
  if (waiting.length > 0) setImmediate(nextSlice)
  begin?.(Math.min(sliceMsMax, Math.max(sliceMsMin, othersMs)))
}
