/**
 * Jobs that take a while. The queue runs a few at a time, in turns by key: a key with many jobs does not keep the others
 * waiting.
 */
export class FairQueue<Key> {
  private readonly waiting = new Map<Key, Array<() => void>>()
  private readonly running = new Map<Key, number>()
  private runningInAll = 0

  constructor(
    private readonly runningMax: number,
    private readonly runningPerKeyMax = runningMax,
  ) {}

  run<T>(key: Key, job: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const start = () => {
        this.count(key, 1)
        job()
          .then(resolve, reject)
          .finally(() => {
            this.count(key, -1)
            this.next()
          })
      }
      const queue = this.waiting.get(key) ?? []
      this.waiting.set(key, queue)
      queue.push(start)
      this.next()
    })
  }

  private count(key: Key, change: 1 | -1): void {
    this.runningInAll += change
    const running = (this.running.get(key) ?? 0) + change
    if (running > 0) this.running.set(key, running)
    else this.running.delete(key)
  }

  private next(): void {
    while (this.runningInAll < this.runningMax) {
      const turn = this.turn()
      if (!turn) return
      const [key, queue] = turn
      const start = queue.shift()!
      // This moves the key to the end of the row: a Map keeps the order in which keys came.
      this.waiting.delete(key)
      if (queue.length > 0) this.waiting.set(key, queue)
      start()
    }
  }

  private turn(): [Key, Array<() => void>] | undefined {
    for (const entry of this.waiting)
      if ((this.running.get(entry[0]) ?? 0) < this.runningPerKeyMax) return entry
    return undefined
  }
}
