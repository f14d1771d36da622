const pauseMs = 500

/** Work that many changes ask for and that is done once for all of them, at most twice a second for each key. */
export class Throttle {
  private readonly waiting = new Map<string, ReturnType<typeof setTimeout>>()

  soon(key: string, work: () => Promise<void>): void {
    if (this.waiting.has(key)) return
    const timer = setTimeout(() => {
      this.waiting.delete(key)
      // What fails, fails with the connection, and is asked again with the next one.
      work().catch(() => {})
    }, pauseMs)
    this.waiting.set(key, timer)
  }

  clear(): void {
    for (const timer of this.waiting.values()) clearTimeout(timer)
    this.waiting.clear()
  }
}
