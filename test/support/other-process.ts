import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { ProcessContext } from './other-process-main'
import { packageRoot } from './package-root'

/** What an error was, as far as it can leave its process. */
export interface RemoteError {
  error: string
  parameters?: object
  message?: string
}

interface Answer {
  id: number
  value?: unknown
  failed?: RemoteError
}

/**
 * A client in a process of its own, with a uid of its own, that runs what it is given. A function sent to it is sent
 * as text: it uses its arguments and nothing around it.
 */
export class OtherProcess {
  private static readonly alive = new Set<OtherProcess>()
  private readonly waiting = new Map<number, (answer: Answer) => void>()
  private lastId = 0

  private constructor(private readonly child: ChildProcess) {
    child.on('message', message => {
      const answer = message as Answer
      this.waiting.get(answer.id)?.(answer)
      this.waiting.delete(answer.id)
    })
    OtherProcess.alive.add(this)
    child.once('exit', () => {
      OtherProcess.alive.delete(this)
      for (const [id, answered] of this.waiting) answered({ id, failed: { error: 'ProcessExited' } })
      this.waiting.clear()
    })
  }

  /**
   * Its client is connected. uid: also its gid; the checkout must be readable for it. launcher: a command that becomes
   * the rest of its arguments, or waits for what they become.
   */
  static async start(
    socket: string,
    options: { uid?: number; launcher?: readonly string[] } = {},
  ): Promise<OtherProcess> {
    const main = path.join(packageRoot, 'dist/test/support/other-process-main.js')
    const command = [...(options.launcher ?? []), process.execPath, main, socket]
    const child = spawn(command[0]!, command.slice(1), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      ...(options.uid !== undefined && { uid: options.uid, gid: options.uid }),
    })
    const started = new OtherProcess(child)
    await started.run(() => undefined)
    return started
  }

  /** Those that a test has left running. */
  static async killAll(): Promise<void> {
    await Promise.all([...OtherProcess.alive].map(other => other.kill()))
  }

  get pid(): number {
    return this.child.pid!
  }

  get exited(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** Rejects with a RemoteError; { error: 'ProcessExited' } when the process is gone before its answer. */
  run<Result, Argument = undefined>(
    work: (context: ProcessContext, argument: Argument) => Result | Promise<Result>,
    argument?: Argument,
  ): Promise<Result> {
    const id = ++this.lastId
    return new Promise((resolve, reject) => {
      this.waiting.set(id, ({ value, failed }) => (failed ? reject(failed) : resolve(value as Result)))
      if (this.exited) this.waiting.get(id)!({ id, failed: { error: 'ProcessExited' } })
      else this.child.send({ id, code: work.toString(), argument }, () => {})
    })
  }

  /** What a call was answered: an error's short name, or undefined when it was granted. */
  async refusal(method: string, parameters: object): Promise<string | undefined> {
    try {
      await this.run(
        ({ client }, [name, input]) => client.call(name as never, input as never).then(() => undefined),
        [method, parameters] as const,
      )
      return undefined
    } catch (error) {
      return (error as RemoteError).error.split('.').at(-1)
    }
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.exited) return
    const exit = once(this.child, 'exit')
    // What a launcher waits for does not die with it: it ends when nobody is there to run anything for.
    if (signal === 'SIGKILL' && this.child.connected) this.child.disconnect()
    this.child.kill(signal)
    await exit
  }
}
