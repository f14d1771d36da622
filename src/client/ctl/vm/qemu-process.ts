import { constants } from 'node:os'
import type { Duplex } from 'node:stream'
import { exitCode, Failure } from '../exit'
import { printableLines } from '../table'
import { monitorFd } from './command-line'
import { type Inherited, Launcher } from './launcher'

/** How a process ended; one of the two is null. If both are null, it could not start. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

const linesKept = 20
const lineCharactersMax = 2000
const endMs = 10_000

/** QEMU, or the launcher that is about to become it. */
export class QemuProcess {
  readonly launcher: Launcher
  /** Never rejects. Some seconds after SIGKILL it counts as ended in any case. */
  readonly exited: Promise<Exit>
  /** The other end of the child's descriptor 3. */
  readonly monitor: Duplex
  private readonly lines: string[] = []
  private unfinished = ''
  private ended: Exit | undefined
  private end!: (exit: Exit) => void
  private isKilled = false

  /** @param inherited descriptors of this process, and their numbers in the child */
  constructor(inherited: readonly Inherited[]) {
    const stdio: ConstructorParameters<typeof Launcher>[0][number][] = ['ignore', 'inherit', 'pipe', 'pipe']
    for (const { from, to } of inherited) {
      while (stdio.length < to) stdio.push('ignore')
      stdio[to] = from
    }
    this.launcher = new Launcher(stdio)
    const { child } = this.launcher
    this.monitor = child.stdio[monitorFd] as Duplex
    child.stderr!.setEncoding('utf8').on('data', (text: string) => this.hear(text))
    this.exited = new Promise(resolve => {
      this.end = exit => {
        this.ended ??= exit
        resolve(this.ended)
      }
      child.once('error', error => {
        this.hear(`${error.message}\n`)
        if (child.pid === undefined) this.end({ code: null, signal: null })
      })
      // This does not wait for close: QEMU's own children may keep its standard error open.
      child.once('exit', (code, signal) => setImmediate(this.end, { code, signal }))
    })
  }

  /** undefined: the process could not start. */
  get pid(): number | undefined {
    return this.launcher.child.pid
  }

  get exit(): Exit | undefined {
    return this.ended
  }

  /** The last lines that the process wrote on standard error. */
  get lastLines(): readonly string[] {
    return this.unfinished === '' ? this.lines : [...this.lines, this.unfinished]
  }

  /** A thread that hangs in the kernel, as on a disk that hangs, keeps the process; but from SIGKILL on no thread runs any more. */
  readonly kill = (): void => {
    if (this.ended !== undefined || this.isKilled) return
    this.isKilled = true
    this.launcher.child.kill('SIGKILL')
    // What it said until then is read by the time of the second callback.
    setTimeout(() => setImmediate(this.abandon), endMs).unref()
  }

  private readonly abandon = (): void => {
    if (this.ended !== undefined) return
    this.hear(
      `QEMU hangs in the kernel: process ${this.pid} is still there ${endMs / 1000} s after SIGKILL\n`,
    )
    this.launcher.abandon()
    this.end({ code: null, signal: 'SIGKILL' })
  }

  private hear(text: string): void {
    process.stderr.write(printableLines(text))
    const lines = (this.unfinished + text).split('\n')
    this.unfinished = lines.pop()!.slice(0, lineCharactersMax)
    this.lines.push(...lines.map(line => line.slice(0, lineCharactersMax)))
    this.lines.splice(0, this.lines.length - linesKept)
  }
}

/** 'exit code 1', 'signal SIGKILL' */
function describeExit({ code, signal }: Exit): string {
  if (signal === 'SIGBUS')
    return 'signal SIGBUS: there was no page for its memory, as where a filesystem is full, or the memory is bad'
  if (signal !== null) return `signal ${signal}`
  return code === null ? 'it could not be started' : `exit code ${code}`
}

/** With its last lines. */
export function describeEnd({ lastLines }: QemuProcess, exit: Exit): string {
  const words = lastLines.length === 0 ? '' : `; its last lines:\n${lastLines.join('\n')}`
  return `QEMU ended (${describeExit(exit)})${words}`
}

/**
 * A QEMU that nobody ended: with its exit code, or 128 and the signal, as a shell has it. But 2 would say that the VM's file is wrong, and
 * trying again of no use, and 130 that somebody interrupted `vm run`.
 */
export function endFailure(process: QemuProcess, exit: Exit): Failure {
  const own = exit.signal === null ? exit.code || exitCode.refused : 128 + constants.signals[exit.signal]
  const isOurs = own === exitCode.usage || own === exitCode.interrupted
  return new Failure('QemuEnded', describeEnd(process, exit), isOurs ? exitCode.refused : own)
}
