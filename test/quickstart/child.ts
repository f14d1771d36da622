import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A process that says what it does, a line at a time; the quick start waits for what it needs to hear. */
export class Child {
  readonly process: ChildProcess
  readonly lines: string[] = []
  complaints = ''
  private readonly ended: Promise<void>
  private wake = () => {}

  constructor(command: string, args: string[], environment: NodeJS.ProcessEnv) {
    this.process = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment })
    createInterface({ input: this.process.stdout! }).on('line', line => {
      this.lines.push(line)
      this.wake()
    })
    this.process.stderr!.setEncoding('utf8').on('data', text => {
      this.complaints = (this.complaints + text).slice(-4000)
      this.wake()
    })
    this.ended = once(this.process, 'close').then(() => this.wake())
  }

  get pid(): number {
    return this.process.pid!
  }

  get hasEnded(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }

  /** The newest or next line that matches, from line number `from` on. */
  async line(pattern: RegExp, from = 0, boundMs = 120_000): Promise<RegExpExecArray> {
    const deadline = Date.now() + boundMs
    for (;;) {
      for (const line of this.lines.slice(from).reverse()) {
        const match = pattern.exec(line)
        if (match) return match
      }
      if (this.hasEnded) throw new Error(`${this.process.spawnfile} ended: ${this.complaints}`)
      if (Date.now() > deadline)
        throw new Error(`${this.process.spawnfile} never said ${pattern}: ${this.complaints}`)
      await new Promise<void>(resolve => {
        this.wake = resolve
        setTimeout(resolve, 50)
      })
    }
  }

  async complaint(text: string, boundMs = 120_000): Promise<void> {
    const deadline = Date.now() + boundMs
    while (!this.complaints.includes(text)) {
      if (this.hasEnded || Date.now() > deadline)
        throw new Error(`${this.process.spawnfile}: ${this.complaints}`)
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  }

  async kill(): Promise<void> {
    if (!this.hasEnded) this.process.kill('SIGKILL')
    await this.ended
  }

  async exit(): Promise<number> {
    await this.ended
    return this.process.exitCode ?? 1
  }
}
