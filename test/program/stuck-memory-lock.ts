import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { buildProgram } from '../guest/build'

interface StuckMemoryLockOptions {
  /** Whose processes they are. */
  uid: number
  /** Default: 1. */
  count?: number
  /** A socket that each is connected to. */
  socket?: string
  /** A command that becomes the rest of its arguments. Where it enters a mount namespace, /dev/fuse has to be there. */
  launcher?: readonly string[]
  /** How the lock is held: stuck-memory-lock.c explains. Default: for writing where this kernel does that. */
  way?: 'write' | 'read'
}

/**
 * Processes whose /proc/PID/cmdline, maps and the like can't be read: the reader waits until end(). Every program on the
 * machine that looks at all processes waits as well, so keep it short.
 */
export class StuckMemoryLocks {
  private constructor(
    private readonly child: ChildProcess,
    /** As they see it themselves, in their pid namespace. */
    readonly pids: readonly number[],
  ) {}

  /** They are stuck when this resolves. As root. */
  static async start(options: StuckMemoryLockOptions): Promise<StuckMemoryLocks> {
    if (options.way !== undefined) return StuckMemoryLocks.startWay(options, options.way)
    return StuckMemoryLocks.startWay(options, 'write').catch(() => StuckMemoryLocks.startWay(options, 'read'))
  }

  private static async startWay(
    { uid, count = 1, socket, launcher = [] }: StuckMemoryLockOptions,
    way: 'write' | 'read',
  ): Promise<StuckMemoryLocks> {
    const program = buildProgram('test/program/stuck-memory-lock.c', ['-pthread'])
    if (program === undefined) throw new Error('the attacks are written in C: install gcc')
    const words = [program, way, String(uid), String(count), ...(socket === undefined ? [] : [socket])]
    const [file, ...args] = [...launcher, ...words] as [string, ...string[]]
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    child.stdin!.on('error', () => {})
    const line = await new Promise<string | undefined>(resolve => {
      createInterface({ input: child.stdout! })
        .once('line', resolve)
        .once('close', () => resolve(undefined))
    })
    const started = new StuckMemoryLocks(child, line?.match(/\d+/g)?.map(Number) ?? [])
    if (line?.startsWith('ready ')) return started
    await started.end()
    throw new Error(`no memory lock is stuck: ${line ?? 'the program ended'}`)
  }

  /** Ends them and all waiting for them; idempotent. */
  async end(): Promise<void> {
    this.child.stdin!.end()
    if (this.child.exitCode === null && this.child.signalCode === null)
      await new Promise<void>(resolve => this.child.once('exit', () => resolve()))
  }
}
