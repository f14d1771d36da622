import type { Logger } from 'pino'

/** Time between lines in the log: a refused client can come again at once, and must not fill a disk. */
const logMs = 1000

/** Counts the requests that the console turned away, by reason. */
export class Rejections {
  readonly counts = new Map<string, number>()
  private unlogged = 0
  private loggedAt = -logMs

  constructor(private readonly log: Logger) {}

  note(reason: string): void {
    this.counts.set(reason, (this.counts.get(reason) ?? 0) + 1)
    this.unlogged++
    const now = performance.now()
    if (now - this.loggedAt < logMs) return
    this.log.warn({ reason, requests: this.unlogged }, 'the console refused requests')
    this.loggedAt = now
    this.unlogged = 0
  }
}
