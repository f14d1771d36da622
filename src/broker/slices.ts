/** How long one piece of work may keep everybody else waiting: about as long as a grant takes. Its pauses cost it a few percent. */
const sliceMs = 0.25

/** Work that grows with somebody's possessions. It runs in slices, and calls of others run between them. */
export class Slices {
  private since = performance.now()

  /** Call it between two steps; undefined while the slice has time left, so that little work stays in one iteration of the event loop. */
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
