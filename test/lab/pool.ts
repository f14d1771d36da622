/** Runs named things, so many at a time: first what is asked for, and beside it what will be asked for next. */
export class Pool<T> {
  private readonly results = new Map<string, Promise<T>>()
  private running = 0
  private stopped = false

  constructor(
    private readonly names: readonly string[],
    private readonly atOnce: number,
    private readonly run: (name: string) => Promise<T>,
  ) {}

  /** What running it came to, or comes to. */
  result(name: string): Promise<T> {
    const result = this.results.get(name) ?? this.begin(name)
    this.fill()
    return result
  }

  /** Begin nothing more. Resolves with what all that was begun came to, when nothing runs any more. */
  async stop(): Promise<T[]> {
    this.stopped = true
    const ended = await Promise.allSettled(this.results.values())
    return ended.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
  }

  private begin(name: string): Promise<T> {
    const result = this.run(name)
    this.results.set(name, result)
    this.running++
    const ended = () => {
      this.running--
      this.fill()
    }
    // Who asks for it is told; a failure that nobody has asked for yet must not end the process.
    result.then(ended, ended)
    return result
  }

  private fill(): void {
    while (!this.stopped && this.running < this.atOnce) {
      const next = this.names.find(name => !this.results.has(name))
      if (next === undefined) return
      this.begin(next)
    }
  }
}
