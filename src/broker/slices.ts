/** How long one piece of work may keep everybody else waiting. */
const sliceMs = 2

/** Work that grows with what somebody has: it is done in slices, between which everybody else has a turn. */
export class Slices {
  private since = performance.now()

  /** To be asked between two steps; undefined while there is time left in the slice, so that little work stays in one turn. */
  next(): Promise<void> | undefined {
    if (performance.now() - this.since < sliceMs) return undefined
    return new Promise(resolve =>
      setImmediate(() => {
        this.since = performance.now()
        resolve()
      }),
    )
  }
}
