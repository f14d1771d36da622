import { type ChildProcess, spawn } from 'node:child_process'

/** How a guest's process ended; one of the two is null. */
interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface GuestProcessOptions {
  /** Descriptors of this process that the child gets, by the number they have there (3 and up). */
  fds?: ReadonlyMap<number, number>
  env?: NodeJS.ProcessEnv
}

interface Waiter {
  matches(line: string): boolean
  resolve(line: string): void
  reject(error: Error): void
}

const linesKeptMax = 10_000

/** A child process that runs a guest and prints lines, the guest's counter among them. */
export class GuestProcess {
  /** Never rejects. Both null: the program could not be started; complaints say why. */
  readonly exited: Promise<Exit>
  private readonly child: ChildProcess
  private readonly kept: string[] = []
  private readonly waiters = new Set<Waiter>()
  private errorText = ''
  /** The beginning of a line; never taken for one, as a guest may be killed or stopped amid "counter 1234". */
  private unfinished = ''
  private ended: Exit | undefined

  constructor(command: readonly string[], options: GuestProcessOptions = {}) {
    const [file, ...args] = command
    if (file === undefined) throw new TypeError('an empty command')
    const stdio: Array<'ignore' | 'pipe' | number> = ['ignore', 'pipe', 'pipe']
    for (const [number, fd] of options.fds ?? []) {
      while (stdio.length < number) stdio.push('ignore')
      stdio[number] = fd
    }
    this.child = spawn(file, args, { stdio, env: options.env ?? process.env })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errorText += text
    })
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => this.read(text))
    this.exited = new Promise(resolve => {
      const end = (exit: Exit) => {
        this.ended = exit
        for (const waiter of this.waiters) waiter.reject(this.failure('ended'))
        this.waiters.clear()
        resolve(exit)
      }
      this.child.once('error', error => {
        this.errorText += error.message
        if (this.child.pid === undefined) end({ code: null, signal: null })
      })
      this.child.once('close', (code, signal) => end({ code, signal }))
    })
  }

  /** undefined: the program could not be started. */
  get pid(): number | undefined {
    return this.child.pid
  }

  /** Whole lines of standard output so far, without their ends; the oldest are dropped when there are very many. */
  get lines(): readonly string[] {
    return this.kept
  }

  /** What it wrote on standard error so far. */
  get complaints(): string {
    return this.errorText
  }

  /** The newest counter it printed; undefined when there is none yet. */
  get counter(): bigint | undefined {
    return counterOf(this.kept.findLast(line => counterOf(line) !== undefined) ?? '')
  }

  /** The first line, already printed or to come, that matches. Rejects when the process ends or time is up before. */
  async line(matches: (line: string) => boolean, timeoutMs = 120_000): Promise<string> {
    const printed = this.kept.find(matches)
    if (printed !== undefined) return printed
    if (this.ended) throw this.failure('ended')
    let timer: NodeJS.Timeout | undefined
    let waiter: Waiter | undefined
    try {
      return await new Promise<string>((resolve, reject) => {
        waiter = { matches, resolve, reject }
        this.waiters.add(waiter)
        timer = setTimeout(() => reject(this.failure(`said nothing of it in ${timeoutMs} ms`)), timeoutMs)
      })
    } finally {
      clearTimeout(timer)
      if (waiter) this.waiters.delete(waiter)
    }
  }

  /** Waits until the guest has printed a counter greater than the given one, and returns the first such. */
  async counterBeyond(counter: bigint, timeoutMs?: number): Promise<bigint> {
    const line = await this.line(candidate => (counterOf(candidate) ?? -1n) > counter, timeoutMs)
    return counterOf(line)!
  }

  /** Send a signal (SIGKILL by default) and wait for the end. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    this.child.kill(signal)
    return this.exited
  }

  private read(text: string): void {
    const lines = (this.unfinished + text).split(/\r?\n/)
    this.unfinished = lines.pop()!
    for (const line of lines) this.take(line)
  }

  private take(line: string): void {
    this.kept.push(line)
    if (this.kept.length > linesKeptMax) this.kept.splice(0, linesKeptMax / 2)
    for (const waiter of this.waiters) if (waiter.matches(line)) waiter.resolve(line)
  }

  private failure(what: string): Error {
    const exit = this.ended ? ` (code ${this.ended.code}, signal ${this.ended.signal})` : ''
    const printed = this.kept.slice(-3).join(' | ')
    return new Error(
      `${this.child.spawnfile} ${what}${exit}; last lines: ${printed}; complaints: ${this.errorText}`,
    )
  }
}

/** N of a line "counter N"; undefined for any other line. */
function counterOf(line: string): bigint | undefined {
  const match = /^counter (\d+)$/.exec(line)
  return match ? BigInt(match[1]!) : undefined
}
