import { clip } from './cells'
import { isScreen } from './color'

/** A shorter wait is not worth a line. */
const patienceMs = 400
const redrawMs = 250

/**
 * One line on stderr with the reason and the length of the wait; it disappears at the end. Silent if stderr is no
 * terminal.
 */
export class Progress {
  private readonly stream: NodeJS.WriteStream
  private readonly enabled: boolean
  private text: string | undefined
  private since = 0
  private timer: NodeJS.Timeout | undefined
  private shown = false

  constructor(wanted: boolean, stream: NodeJS.WriteStream = process.stderr) {
    this.stream = stream
    this.enabled = wanted && isScreen(stream)
  }

  /** Shows this as the reason of the wait; text may change often, and the time counts from the first. */
  say(text: string): void {
    if (!this.enabled) return
    if (this.text === undefined) {
      this.since = performance.now()
      this.timer = setInterval(() => this.draw(), redrawMs)
      this.timer.unref()
    }
    this.text = text
  }

  /** Out of the way of other output; it comes back where it isn't over. */
  clear(): void {
    if (this.shown) this.stream.write('\r\u001b[K')
    this.shown = false
  }

  /** Idempotent. */
  end(): void {
    clearInterval(this.timer)
    this.clear()
    this.text = undefined
  }

  async during<T>(text: string, promise: Promise<T>): Promise<T> {
    this.say(text)
    try {
      return await promise
    } finally {
      this.end()
    }
  }

  private draw(): void {
    const ms = performance.now() - this.since
    if (ms < patienceMs || this.text === undefined) return
    const line = `${this.text} ... ${Math.floor(ms / 1000)} s`
    this.stream.write(`\r${clip(line, (this.stream.columns || 80) - 1)}\u001b[K`)
    this.shown = true
  }
}

/** '37 %, 1.2 GiB of 3.2 GiB'; nothing where nothing is known yet. */
export function portion(done: number, total: number, format: (value: number) => string): string {
  if (total <= 0) return ''
  return `${Math.floor((100 * done) / total)} %, ${format(done)} of ${format(total)}`
}
