import { closeSync, ftruncateSync, readFileSync, readSync, writeSync } from 'node:fs'
import { ExitWatch, native, Socket } from '../../../native'
import { KiB } from '../../../protocol/units'
import { WorkerLost } from './errors'

const SIGKILL = 9
/** Time between two looks for the end of a child that the broker can't watch. */
const reapEveryMs = 100

// As native/src/worker_area.hh has it.
const areaBytes = 64 * KiB
const areaHeadBytes = 16
const stoppedAt = 12

/** A worker's progress in its present job. */
interface Progress {
  /** It grows as long as the kernel answers. */
  steps: number
  /** The process that the worker looks into; 0: none. */
  pid: number
  /** Bytes of results. */
  used: number
}

export interface Order {
  readonly request: Uint8Array
  readonly fds: readonly number[]
}

/** One membroker-worker and the broker's end of it. It owns its descriptors. It has `ended` once it is killed or lost, and reaped. */
export class WorkerProcess {
  readonly ended: Promise<void>
  /** Of its orders, those that the worker had not taken when it was killed or lost. Nobody has their descriptors. */
  untakenBytes = 0
  private socket: Socket | undefined
  /** The worker's end: a worker that is stuck takes nothing out of it any more. */
  private other: number | undefined
  private area: number | undefined
  private pidfd: number | undefined
  private pending: { resolve(status: number): void; reject(error: Error): void } | undefined
  private answer: Buffer = Buffer.alloc(0)
  private lastFound: Buffer = Buffer.alloc(0)

  /** Adopts the descriptors and the process, also if it fails. */
  private constructor(
    readonly pid: number,
    pidfd: number,
    [socket, other]: readonly [number, number],
    area: number,
  ) {
    this.area = area
    this.other = other
    this.pidfd = pidfd
    let end = () => {}
    this.ended = new Promise(resolve => {
      end = resolve
    })
    try {
      new ExitWatch(pidfd, () => {
        this.pidfd = undefined
        native.reap(pid)
        this.drop()
        end()
      })
    } catch (error) {
      for (const fd of [socket, other, area]) closeSync(fd)
      endUnwatched(pid)
      throw error
    }
    try {
      this.socket = new Socket(socket, {
        onData: bytes => this.receive(bytes),
        // The pidfd reports its exit.
        onEnd: () => this.kill(),
        onDrain: () => {},
      })
    } catch (error) {
      this.kill()
      throw error
    }
  }

  /** executable: a descriptor of the program. @throws SystemError */
  static spawn(executable: number): WorkerProcess {
    const own: number[] = []
    const adopt = (fd: number) => {
      own.push(fd)
      return fd
    }
    try {
      const area = adopt(native.memfdCreate('membroker-worker', { hugePageBytes: 0, allowSealing: false }))
      ftruncateSync(area, areaBytes)
      const [socket, other] = native.socketPair().map(adopt) as [number, number]
      const { pid, pidfd } = native.spawnWorker(executable, other, area)
      own.length = 0
      return new WorkerProcess(pid, pidfd, [socket, other], area)
    } finally {
      for (const fd of own) closeSync(fd)
    }
  }

  /** Runs one job at a time, of orders that the last one's answer counts for. Adopts their fds. Rejects when the worker has ended. */
  run(orders: readonly Order[]): Promise<number> {
    if (!this.socket) {
      for (const { fds } of orders) for (const fd of fds) closeSync(fd)
      this.lastFound = Buffer.alloc(0)
      return Promise.reject(new WorkerLost())
    }
    const { socket } = this
    writeSync(this.area!, Buffer.alloc(areaHeadBytes), 0, areaHeadBytes, 0)
    return new Promise((resolve, reject) => {
      this.pending = { resolve, reject }
      // This closes the descriptors in any case; the worker's end shows a fault of the socket.
      for (const { request, fds } of orders) socket.send(request, fds)
    })
  }

  /** The worker begins no more orders of its job, but for the first. */
  stop(): void {
    if (this.area !== undefined) writeSync(this.area, Buffer.of(1), 0, 1, stoppedAt)
  }

  get progress(): Progress {
    const head = this.read(0, areaHeadBytes)
    return { steps: head.readUInt32LE(0), pid: head.readUInt32LE(4), used: head.readUInt32LE(8) }
  }

  /** A copy of the job's results so far, also after its end. */
  get found(): Buffer {
    return this.area === undefined ? this.lastFound : this.read(areaHeadBytes, this.progress.used)
  }

  get isKilled(): boolean {
    return this.socket === undefined
  }

  /**
   * Whether the worker waits for a processor, not for another process: the broker must not take a busy host for a stuck one.
   */
  get isRunnable(): boolean {
    try {
      const stat = readFileSync(`/proc/${this.pid}/stat`, 'latin1')
      return stat[stat.lastIndexOf(')') + 2] === 'R'
    } catch {
      return false
    }
  }

  /** The kernel's function in which it waits, but for the scheduler's; undefined: the kernel does not tell. */
  get asleepIn(): string | undefined {
    try {
      return readFileSync(`/proc/${this.pid}/wchan`, 'latin1')
    } catch {
      return undefined
    }
  }

  /** Kills the worker. Its end may take long, or never come: see ended. Its present job gets no answer any more. */
  kill(): void {
    if (this.pidfd === undefined) return
    try {
      native.pidfdSendSignal(this.pidfd, SIGKILL)
    } catch {
      // The worker has ended, and its watch will report that in a moment.
    }
    this.drop()
  }

  private drop(): void {
    this.untakenBytes += this.socket?.queuedBytes ?? 0
    this.socket?.close()
    this.socket = undefined
    if (this.other !== undefined) {
      this.untakenBytes += native.discardUnread(this.other)
      closeSync(this.other)
    }
    this.other = undefined
    this.lastFound = this.found
    if (this.area !== undefined) closeSync(this.area)
    this.area = undefined
    this.pending?.reject(new WorkerLost())
    this.pending = undefined
  }

  private read(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length)
    if (this.area !== undefined) readSync(this.area, bytes, 0, length, offset)
    return bytes
  }

  private receive(bytes: Buffer): void {
    this.answer = this.answer.length === 0 ? bytes : Buffer.concat([this.answer, bytes])
    if (this.answer.length < 4) return
    const status = this.answer.readInt32LE(0)
    this.answer = this.answer.subarray(4)
    const pending = this.pending
    this.pending = undefined
    pending?.resolve(status)
  }
}

/** Ends a child that the broker can't watch. No other process gets its number until the broker reaps it. */
function endUnwatched(pid: number): void {
  process.kill(pid, 'SIGKILL')
  const reap = () => {
    try {
      native.reap(pid)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') setTimeout(reap, reapEveryMs).unref()
    }
  }
  reap()
}
