import { readFileSync } from 'node:fs'
import { now } from './timed'

const everyMs = 10

/**
 * How long the main thread of a process was ready to run and had no processor, as the kernel counts it (the second number of
 * /proc/PID/schedstat, in ns): a machine that is busy with others makes it wait, whatever it does.
 */
export class RunQueue {
  private readonly samples = [{ at: now(), waitedMs: 0 }]
  private readonly timer = setInterval(() => this.sample(), everyMs)
  private last: number

  constructor(private file: string) {
    this.last = this.read()
  }

  /** The process after it. */
  follow(file: string): void {
    this.sample()
    this.file = file
    this.last = this.read()
    this.sample()
  }

  stop(): void {
    this.sample()
    clearInterval(this.timer)
  }

  /** Between two moments, rounded up by two samples. */
  waitedMs(from: number, to: number): number {
    const before = this.samples.findLast(({ at }) => at <= from) ?? this.samples[0]!
    const after = this.samples.find(({ at }) => at >= to) ?? this.samples.at(-1)!
    return after.waitedMs - before.waitedMs
  }

  private sample(): void {
    const read = this.read()
    const { waitedMs } = this.samples.at(-1)!
    this.samples.push({ at: now(), waitedMs: waitedMs + (read - this.last) / 1e6 })
    this.last = read
  }

  /** What it was last, where the process is gone. */
  private read(): number {
    try {
      return Number(readFileSync(this.file, 'latin1').split(' ')[1])
    } catch {
      return this.last ?? 0
    }
  }
}
