import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Duplex } from 'node:stream'
import { exitCode, Failure } from '../exit'
import { monitorFd } from './command-line'

/** How a process ended; one of the two is null. If both are null, it could not start. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A descriptor that the child gets too. */
export interface Inherited {
  readonly from: number
  readonly to: number
}

const linesKept = 20
const lineCharactersMax = 2000

/**
 * A child that ends when this process does, in whatever way: the kernel kills it. It has a session of its own, so a signal from
 * a terminal (Ctrl-C) reaches this process alone.
 */
export class QemuProcess {
  /** Never rejects. */
  readonly exited: Promise<Exit>
  /** The other end of the child's descriptor 3. */
  readonly monitor: Duplex
  private readonly child: ChildProcess
  private readonly lines: string[] = []
  private unfinished = ''
  private ended: Exit | undefined

  /**
   * @param input the contents of its standard input
   * @param inherited descriptors of this process, and their numbers in the child
   */
  constructor(command: readonly string[], input: string | undefined, inherited: readonly Inherited[]) {
    const stdio: StdioOptions = [input === undefined ? 'ignore' : 'pipe', 'inherit', 'pipe', 'pipe']
    for (const { from, to } of inherited) {
      while (stdio.length < to) stdio.push('ignore')
      stdio[to] = from
    }
    // util-linux has this program. Node itself can't ask the kernel for it. Where this process has ended before setpriv asks, the
    // kernel kills nobody: the shell sees that its parent is another.
    const bound = [
      '--pdeathsig',
      'KILL',
      '--',
      'sh',
      '-c',
      '[ "$PPID" = "$0" ] && exec "$@"',
      String(process.pid),
    ]
    const child = spawn('setpriv', [...bound, ...command], {
      stdio,
      detached: true,
    })
    this.child = child
    this.monitor = child.stdio[monitorFd] as Duplex
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
    child.stderr!.setEncoding('utf8').on('data', (text: string) => this.hear(text))
    this.exited = new Promise(resolve => {
      const end = (exit: Exit) => {
        this.ended = exit
        resolve(exit)
      }
      child.once('error', error => {
        this.hear(`${error.message}\n`)
        if (child.pid === undefined) end({ code: null, signal: null })
      })
      // This does not wait for close: QEMU's own children may keep its standard error open.
      child.once('exit', (code, signal) => setImmediate(end, { code, signal }))
    })
  }

  /** undefined: the process could not start. */
  get pid(): number | undefined {
    return this.child.pid
  }

  get exit(): Exit | undefined {
    return this.ended
  }

  /** The last lines that the process wrote on standard error. */
  get lastLines(): readonly string[] {
    return this.unfinished === '' ? this.lines : [...this.lines, this.unfinished]
  }

  readonly kill = (): void => {
    if (this.ended === undefined) this.child.kill('SIGKILL')
  }

  private hear(text: string): void {
    process.stderr.write(text)
    const lines = (this.unfinished + text).split('\n')
    this.unfinished = lines.pop()!.slice(0, lineCharactersMax)
    this.lines.push(...lines.map(line => line.slice(0, lineCharactersMax)))
    this.lines.splice(0, this.lines.length - linesKept)
  }
}

/** A text for people: 'exit code 1', 'signal SIGKILL'. */
export function describeExit({ code, signal }: Exit): string {
  if (signal !== null) return `signal ${signal}`
  return code === null ? 'it could not be started' : `exit code ${code}`
}

/** A QEMU that nobody ended: with its last lines, and its exit code or 128 and the signal, as a shell has it. */
export function endFailure({ lastLines }: QemuProcess, exit: Exit): Failure {
  const words = lastLines.length === 0 ? '' : `; its last lines:\n${lastLines.join('\n')}`
  const code = exit.signal === null ? exit.code || exitCode.refused : 128 + constants.signals[exit.signal]
  return new Failure('QemuEnded', `QEMU ended (${describeExit(exit)})${words}`, code)
}
