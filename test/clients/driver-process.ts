import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../support/package-root'
import { buildDriver, sanitizedEnvironment } from './build-driver'
import type { Arguments, Operation } from './cases'

/** A library, and how its driver runs. */
export const languages = ['typescript', 'c', 'python'] as const
export type Language = (typeof languages)[number]

export interface Answer {
  result?: unknown
  error?: { code: string; parameters: Record<string, unknown>; message?: string }
}

const commands: Record<Language, () => [string, ...string[]]> = {
  typescript: () => [process.execPath, path.join(packageRoot, 'dist/test/clients/driver.js')],
  c: () => [buildDriver()],
  python: () => ['python3', path.join(packageRoot, 'test/clients/driver.py')],
}

/** A process of its own with one of the client libraries. */
export class Driver {
  private static readonly all = new Set<Driver>()
  private readonly child: ChildProcess
  private readonly lines: AsyncIterator<string>
  private said = ''
  /** The answer to the call before, which comes first. */
  private before: Promise<unknown> = Promise.resolve()

  constructor(private readonly language: Language) {
    const [file, ...args] = commands[language]()
    this.child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: sanitizedEnvironment,
    })
    this.child.stderr!.setEncoding('utf8').on('data', text => {
      this.said += text
    })
    this.child.stdin!.on('error', () => {})
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]()
    Driver.all.add(this)
  }

  get pid(): number {
    return this.child.pid!
  }

  async call(op: Operation, args: Arguments = {}): Promise<Answer> {
    const before = this.before
    const answer = (async () => {
      await before
      this.child.stdin!.write(`${JSON.stringify({ op, args })}\n`)
      const { value, done } = await this.lines.next()
      if (done)
        throw new Error(
          `the driver in ${this.language} ended at ${op} ${JSON.stringify(args)}:\n${this.said}`,
        )
      return JSON.parse(value) as Answer
    })()
    this.before = answer.catch(() => {})
    return answer
  }

  /** Ends it in order, and sees that nothing was leaked. */
  async end(): Promise<void> {
    await this.before
    Driver.all.delete(this)
    const exit = once(this.child, 'exit')
    this.child.stdin!.end()
    const [status, signal] = await exit
    if (status !== 0)
      throw new Error(`the driver in ${this.language} ended with ${status ?? signal}:\n${this.said}`)
  }

  static killAll(): void {
    for (const { child } of Driver.all) child.kill('SIGKILL')
    Driver.all.clear()
  }
}
