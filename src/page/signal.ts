/** A value that changes, with its listeners. It calls them at most once per animation frame. */
export class Signal {
  version = 0
  private readonly listeners = new Set<() => void>()

  listen(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  changed(): void {
    this.version++
    for (const listener of this.listeners) due.add(listener)
    if (due.size > 0 && !scheduled) {
      scheduled = true
      schedule(() => {
        scheduled = false
        const now = [...due]
        due.clear()
        for (const listener of now) listener()
      })
    }
  }
}

const due = new Set<() => void>()
let scheduled = false

/**
 * A page in the background gets no frames; it draws nothing there, and the next frame draws the state of that moment.
 */
function schedule(work: () => void): void {
  requestAnimationFrame(work)
}
