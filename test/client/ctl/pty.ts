import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Writable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { buildProgram } from '../../guest/build'
import { until } from '../../support/test-broker'
import { VirtualTerminal } from './virtual-terminal'

interface Ended {
  status: number
  /** The terminal has the settings it began with. */
  restored: boolean
}

/** A program in a pseudo-terminal, and what is on its screen. */
export class Pty {
  readonly terminal: VirtualTerminal
  readonly ended: Promise<Ended>
  private readonly helper: ChildProcess
  private pid: number | undefined
  private failure: unknown

  constructor(
    command: readonly string[],
    { rows = 24, columns = 100, env = {} }: { rows?: number; columns?: number; env?: NodeJS.ProcessEnv } = {},
  ) {
    const program = buildProgram('test/client/ctl/pty.c')
    if (program === undefined) throw new Error('the pseudo-terminal is written in C: install gcc')
    this.terminal = new VirtualTerminal(rows, columns)
    const inherited = {
      ...process.env,
      TERM: 'xterm-256color',
      LC_ALL: 'C.UTF-8',
      NO_COLOR: undefined,
      FORCE_COLOR: undefined,
    }
    this.helper = spawn(program, [String(rows), String(columns), ...command], {
      env: { ...inherited, ...env },
      stdio: ['pipe', 'pipe', 'inherit', 'pipe', 'pipe'],
    })
    this.helper.stdin!.on('error', () => {})
    const decoder = new StringDecoder('utf8')
    this.helper.stdout!.on('data', (bytes: Buffer) => {
      try {
        this.terminal.write(decoder.write(bytes))
      } catch (error) {
        this.failure ??= error
      }
    })
    this.ended = this.follow()
    this.ended.catch(() => {})
  }

  type(text: string): void {
    this.helper.stdin!.write(text)
  }

  async signal(name: NodeJS.Signals): Promise<void> {
    await until(() => this.pid !== undefined, 'the process in the terminal')
    process.kill(this.pid!, name)
  }

  resize(rows: number, columns: number): void {
    this.terminal.resize(rows, columns)
    ;(this.helper.stdio[3] as Writable).write(`${rows} ${columns}\n`)
  }

  /** Waits until the screen is as it should be. */
  async shows(what: string | RegExp | ((terminal: VirtualTerminal) => boolean)): Promise<void> {
    const seen = () => {
      if (this.failure) throw this.failure
      if (typeof what === 'function') return what(this.terminal)
      return typeof what === 'string' ? this.terminal.text.includes(what) : what.test(this.terminal.text)
    }
    await until(seen, `on the screen: ${what}`).catch(error => {
      throw new Error(`${error.message}; it shows:\n${this.terminal.text}\n${this.terminal.normal}`)
    })
  }

  async dispose(): Promise<void> {
    if (this.helper.exitCode !== null || this.helper.signalCode !== null) return
    const closed = once(this.helper, 'close')
    this.helper.kill('SIGKILL')
    await closed
  }

  private async follow(): Promise<Ended> {
    const closed = once(this.helper, 'close')
    let ended: Ended | undefined
    for await (const line of createInterface({ input: this.helper.stdio[4] as NodeJS.ReadableStream })) {
      const [word, number, state] = line.split(' ')
      if (word === 'pid') this.pid = Number(number)
      else ended = { status: Number(number), restored: state === 'same' }
    }
    await closed
    if (this.failure) throw this.failure
    if (!ended) throw new Error('the pseudo-terminal ended without a word')
    return ended
  }
}
