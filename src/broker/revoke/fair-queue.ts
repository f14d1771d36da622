/** Jobs that take a while, a few at a time, in turns by key: one with many of them does not keep the others waiting. */
export class FairQueue<Key> {
  private readonly waiting = new Map<Key, Array<() => void>>()
  private running = 0

  constructor(private readonly runningMax: number) {}

  run<T>(key: Key, job: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const start = () => {
        this.running++
        job()
          .then(resolve, reject)
          .finally(() => {
            this.running--
            this.next()
          })
      }
      const queue = this.waiting.get(key) ?? []
      this.waiting.set(key, queue)
      queue.push(start)
      this.next()
    })
  }

  private next(): void {
    while (this.running < this.runningMax) {
      const [turn] = this.waiting
      if (!turn) return
      const [key, queue] = turn
      const start = queue.shift()!
      // To the end of the row: a Map keeps the order in which keys came.
      this.waiting.delete(key)
      if (queue.length > 0) this.waiting.set(key, queue)
      start()
    }
  }
}
