import { closeSync, constants, openSync } from 'node:fs'
import { native, workerFile } from '../../../native'
import { NotInTime } from './errors'
import { FairQueue } from './fair-queue'
import { type Order, WorkerProcess } from './worker-process'

/** The owner who pays for a job; jobs have their turns by owner. A uid, if it is one's job. */
export type Owner = number | string

/** What is left for workers to sleep in one function of the kernel. Jobs may share it. The pool ends a job that sleeps there longer. */
export interface WaitBudget {
  readonly asleepIn: string
  leftMs: number
}

/** How long the pool waits for a worker. */
interface Patience {
  /** If the kernel tells a worker nothing for so long, the worker is stuck. For jobs that show their steps. */
  stuckMs?: number
  budget?: WaitBudget | undefined
  /** Of a row: false once no more of it is to begin. */
  goesOn?: (() => boolean) | undefined
}

interface Job extends Patience {
  request: Uint8Array
  /** Borrowed: the worker gets copies. While it is stuck with them, their files count as held. */
  fds?: readonly number[]
  /** The pool has its copies: the caller may close its own. */
  copied?: () => void
  /** Milliseconds from the call on. They include waiting for a turn. Infinity: as long as it takes. */
  deadlineMs: number
  /** The cause if the worker never ends: a file. Default: the owner. */
  blame?: Owner
}

/** Jobs that are alike: a worker does one after another. */
interface Row extends Patience {
  /** Of each. All are of one length. */
  request(isLast: boolean): Uint8Array
  readonly jobs: readonly Required<Pick<Job, 'fds' | 'blame'>>[]
}

type Outcome =
  /** status: the worker's answer; below zero: -errno. */
  | { kind: 'done'; status: number; found: Buffer }
  /**
   * pid: the process that the worker was looking into; 0: none, or the job had no turn. gone: settles when the killed worker
   * ends, if ever.
   */
  | { kind: 'late'; found: Buffer; pid: number; gone: Promise<void> }

/** So many jobs run at once, in all and for one owner. */
const runningMax = 16
const runningPerOwnerMax = 4
/**
 * So many killed workers may remain: by the fault of one file or one purpose, of one owner's files, and of all files. A uid
 * that shares a file with its owner can lock that file, and must not stop work on the owner's other files.
 */
const abandonedPerBlameMax = 2
const abandonedPerOwnerMax = 12
const abandonedMax = 128
/** The pool keeps workers for the next job: one always, others for so long. */
const idleMs = 1000
/** Of a row, as native/src/worker_main.cc has it: the bytes of a status, and that of a job which was not begun. */
const statusBytes = 4
const notBegun = 1
/** Time between two looks where a worker sleeps: the first, which doubles, and the longest. */
const budgetLookMs = 2
const budgetLookMsMax = 32

/**
 * Processes for system calls that another process can prolong: such calls end by SIGKILL only, if at all. The pool kills a
 * worker that is late. If the worker stays, the pool abandons it, and another takes its place.
 */
export class WorkerPool {
  /** Stays open: an upgrade of the package may remove the file under a running broker. */
  private executable: number | undefined
  private readonly queue = new FairQueue<Owner>(runningMax, runningPerOwnerMax)
  private readonly workers = new Set<WorkerProcess>()
  private readonly idle: WorkerProcess[] = []
  /** Killed workers that have not ended, with the fault. */
  private readonly abandoned = new Map<WorkerProcess, { owner: Owner; blame: Owner }>()
  private shrink: NodeJS.Timeout | undefined
  private closed = false

  constructor(private readonly file = workerFile()) {}

  /** Starts a first worker, so that the broker knows at once if none can start. @throws Error that names the file */
  start(): void {
    try {
      this.idle.push(this.spawn())
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException
      const what = code === 'ENOENT' ? 'is missing beside the native addon' : `can't be started: ${message}`
      throw new Error(`membroker: the worker program ${this.file} ${what}`, { cause })
    }
  }

  /** The pids of the workers that are not gone, also of the killed ones. */
  get pids(): number[] {
    return [...this.workers].map(({ pid }) => pid)
  }

  /** @throws SystemError when no worker can start; NotInTime, at once, while too many are stuck by the same fault */
  async run(owner: Owner, job: Job): Promise<Outcome> {
    const blame = job.blame ?? owner
    const check = () => {
      const refusal = this.refusal(owner, blame)
      if (refusal) throw refusal
    }
    check()
    const expires = performance.now() + job.deadlineMs
    return this.queue.run(owner, async () => {
      if (performance.now() >= expires)
        return { kind: 'late', found: Buffer.alloc(0), pid: 0, gone: Promise.resolve() }
      check()
      const { request, fds = [] } = job
      const { worker, orders } = this.begin([{ request, fds }])
      job.copied?.()
      return this.runOn(worker, orders, job, () => ({ owner, blame }), expires)
    })
  }

  /**
   * Returns the status of each job, or why it failed. undefined: it was not begun, as one before it was late, or the row does not
   * go on; of those nobody has the descriptors. The first one always has a result.
   * @throws SystemError when no worker can start
   */
  runRow(owner: Owner, row: Row): Promise<(number | Error | undefined)[]> {
    return this.queue.run(owner, async () => {
      const { jobs } = row
      const results: (number | Error | undefined)[] = jobs.map(({ blame }) => this.refusal(owner, blame))
      const open = [...jobs.keys()].filter(index => results[index] === undefined)
      if (open.length === 0) return results
      const [more, last] = [row.request(false), row.request(true)]
      const { worker, orders } = this.begin(
        open.map(index => ({ request: index === open.at(-1) ? last : more, fds: jobs[index]!.fds })),
      )
      const doneIn = (found: Buffer) => found.length / statusBytes
      const faultAt = (found: Buffer) => ({ owner, blame: jobs[open[doneIn(found)] ?? open[0]!]!.blame })
      const { found, failure } = await this.runOn(worker, orders, row, faultAt).then(
        outcome => ({ found: outcome.found, failure: outcome.kind === 'late' ? late() : undefined }),
        lost => ({ found: worker.found, failure: lost as Error }),
      )
      const untaken = Math.floor(worker.untakenBytes / last.length)
      const begun = Math.max(1, open.length - untaken)
      for (const [at, index] of open.entries()) {
        const status = at < doneIn(found) ? found.readInt32LE(at * statusBytes) : failure
        if (at < begun && status !== notBegun) results[index] = status
      }
      return results
    })
  }

  /** A worker, and orders with copies of the descriptors. @throws SystemError */
  private begin(orders: readonly Order[]): { worker: WorkerProcess; orders: Order[] } {
    const copies: number[] = []
    try {
      const copied = orders.map(({ request, fds }) => ({
        request,
        fds: fds.map(fd => {
          const copy = native.dupFd(fd)
          copies.push(copy)
          return copy
        }),
      }))
      return { worker: this.idle.pop() ?? this.spawn(), orders: copied }
    } catch (error) {
      for (const fd of copies) closeSync(fd)
      throw error
    }
  }

  private async runOn(
    worker: WorkerProcess,
    orders: readonly Order[],
    { stuckMs = Number.POSITIVE_INFINITY, budget, goesOn }: Patience,
    faultAt: (found: Buffer) => { owner: Owner; blame: Owner },
    expires = Number.POSITIVE_INFINITY,
  ): Promise<Outcome> {
    let lookMs = budget ? budgetLookMs : stuckMs / 2
    let timer: NodeJS.Timeout | undefined
    let answered = false
    const late = new Promise<Outcome>(resolve => {
      let seen = { steps: -1, at: performance.now() }
      const look = () => {
        const now = performance.now()
        if (goesOn?.() === false) worker.stop()
        const { steps, pid } = worker.progress
        if (steps !== seen.steps || worker.isRunnable) seen = { steps, at: now }
        // Never more than was to pass: this process may have stood still while the worker worked.
        const spends = budget && worker.asleepIn === budget.asleepIn
        if (spends) budget.leftMs -= lookMs
        if (now < expires && now - seen.at < stuckMs && !(spends && budget.leftMs <= 0)) {
          if (budget) lookMs = Math.min(2 * lookMs, budgetLookMsMax)
          wait()
          return
        }
        worker.kill()
        const { found } = worker
        this.abandoned.set(worker, faultAt(found))
        resolve({ kind: 'late', found, pid, gone: worker.ended })
      }
      const wait = () => {
        const ms = Math.min(expires - performance.now(), lookMs)
        if (ms === Number.POSITIVE_INFINITY) return
        // This process may have stood still itself while the answer was there. So it reads the answer first.
        timer = setTimeout(() => setImmediate(() => answered || look()), Math.max(1, ms))
      }
      wait()
    })
    try {
      const done = worker.run(orders).then(status => {
        answered = true
        return { kind: 'done', status, found: worker.found } as const
      })
      done.catch(() => {})
      return await Promise.race([done, late])
    } finally {
      answered = true
      clearTimeout(timer)
      this.rest(worker)
    }
  }

  /** While too many are stuck. */
  private refusal(owner: Owner, blame: Owner): NotInTime | undefined {
    const faults = [...this.abandoned.values()]
    const isLeft = (max: number, counts: (fault: { owner: Owner; blame: Owner }) => boolean) =>
      faults.filter(counts).length < max
    const mayRun =
      isLeft(abandonedPerBlameMax, fault => fault.blame === blame) &&
      // The broker's own scans belong to no file, and go on whatever happens to files.
      (typeof owner !== 'number' ||
        (isLeft(abandonedPerOwnerMax, fault => fault.owner === owner) &&
          isLeft(abandonedMax, fault => typeof fault.owner === 'number')))
    if (mayRun) return undefined
    const whose = typeof owner === 'number' ? ` for uid ${owner}` : ''
    return new NotInTime('worker', `an earlier operation${whose} is still waiting for the kernel`)
  }

  private spawn(): WorkerProcess {
    this.executable ??= openSync(this.file, constants.O_RDONLY)
    const worker = WorkerProcess.spawn(this.executable)
    this.workers.add(worker)
    void worker.ended.then(() => {
      this.workers.delete(worker)
      this.abandoned.delete(worker)
      const at = this.idle.indexOf(worker)
      if (at >= 0) this.idle.splice(at, 1)
    })
    return worker
  }

  private rest(worker: WorkerProcess): void {
    if (worker.isKilled) return
    if (this.closed) {
      worker.kill()
      return
    }
    this.idle.push(worker)
    this.shrink ??= setTimeout(() => {
      this.shrink = undefined
      for (const spare of this.idle.splice(1)) spare.kill()
    }, idleMs)
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    clearTimeout(this.shrink)
    if (this.executable !== undefined) closeSync(this.executable)
    for (const worker of this.workers) worker.kill()
  }
}

const late = () => new NotInTime('worker', 'the kernel has not come back to a worker in time')
