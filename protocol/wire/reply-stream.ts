interface ReplyStreamOptions<T> {
  /** How many items wait to be taken, whenever that changes; 0 once no more can come. */
  readonly onBacklog: (length: number) => void
  /** The reader ended it before its last item. */
  readonly onAbandon: () => void
  /** The items that nobody will take. */
  readonly discard: (item: T) => void
}

interface Reader<T> {
  resolve(result: IteratorResult<T>): void
  reject(error: Error): void
}

/**
 * A queue between replies as they arrive and one reader that takes them at its own pace. The reader owns the queued
 * replies, also after the connection ended: it takes them all, or calls return().
 */
export class ReplyStream<T> implements AsyncIterableIterator<T> {
  private readonly options: ReplyStreamOptions<T>
  private readonly items: T[] = []
  private readonly readers: Array<Reader<T>> = []
  private state: 'open' | 'complete' | 'failed' | 'abandoned' = 'open'
  private error: Error | undefined

  constructor(options: ReplyStreamOptions<T>) {
    this.options = options
  }

  put(item: T, last: boolean): void {
    if (this.state !== 'open') {
      this.options.discard(item)
      return
    }
    if (last) this.state = 'complete'
    const reader = this.readers.shift()
    if (reader === undefined) {
      this.items.push(item)
    } else {
      reader.resolve({ done: false, value: item })
    }
    this.report()
    if (last) this.dismiss()
  }

  /** The reader gets what arrived before, then the error once. */
  fail(error: Error): void {
    if (this.state !== 'open') return
    this.state = 'failed'
    const reader = this.readers.shift()
    if (reader === undefined) this.error = error
    else reader.reject(error)
    this.report()
    this.dismiss()
  }

  next(): Promise<IteratorResult<T>> {
    const item = this.items.shift()
    if (item !== undefined) {
      if (this.state === 'open') this.report()
      return Promise.resolve({ done: false, value: item })
    }
    if (this.error !== undefined) {
      const error = this.error
      this.error = undefined
      return Promise.reject(error)
    }
    if (this.state !== 'open') return Promise.resolve(finished)
    return new Promise((resolve, reject) => this.readers.push({ resolve, reject }))
  }

  return(): Promise<IteratorResult<T>> {
    const unfinished = this.state === 'open'
    if (unfinished) this.state = 'abandoned'
    this.error = undefined
    for (const item of this.items.splice(0)) this.options.discard(item)
    this.dismiss()
    if (unfinished) this.options.onAbandon()
    return Promise.resolve(finished)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  private report(): void {
    this.options.onBacklog(this.state === 'open' ? this.items.length : 0)
  }

  private dismiss(): void {
    for (const reader of this.readers.splice(0)) reader.resolve(finished)
  }
}

const finished = { done: true, value: undefined } as const
