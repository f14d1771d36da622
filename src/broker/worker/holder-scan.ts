import { startTimeOf } from '../lease/process'
import { NotInTime } from './errors'
import { FairQueue } from './fair-queue'
import { encodeRequest, list, u32, u64 } from './request'
import type { Owner, WorkerPool } from './worker-pool'

/** A file. With parts, only mappings of these count. */
export interface ScannedFile {
  dev: number
  ino: number
  parts?: readonly { offset: number; length: number }[]
}

/** Processes that have a file open or mapped, as /proc shows them. */
export interface Holders {
  holders: { pid: number; fds: number; maps: number }[]
  /** Processes that the scan could not look into, or not in time. */
  unseen: number
  /**
   * Processes that may reach the file unseen: by files or buffers of an io_uring, VFIO and the like, or because the
   * scan could not look into them. 0 is among them if the scan did not finish.
   */
  opaque: Set<number>
}

/** A caller waits for the one kind of scan, nobody for the other. The time includes waiting for a turn. */
export const scanMs = { waitedFor: 500, background: 3000 }
/** A process is stuck if the kernel tells nothing of it for so long; the second is for a process that was stuck before. */
const stuckMs = 100
const stuckAgainMs = 20
const scansMax = 2
const scansPerOwnerMax = 1
/** A scan looks again into so many processes that were stuck before. */
const againMax = 5

const recordBytes = 16
const flags = { unseen: 1, ring: 2, device: 4 }
const nobody = 0xffff_ffff

/**
 * Searches all processes for holders of a file, in workers. A process with a stuck memory lock costs one worker and a
 * moment, and is "not seen". The broker never takes "not seen" for proof.
 */
export class HolderScan {
  private readonly queue = new FairQueue<Owner>(scansMax, scansPerOwnerMax)
  /** The processes at which a worker stopped, by pid, with the start time. */
  private readonly stuck = new Map<number, { start: number | undefined; isOver: boolean }>()

  constructor(private readonly pool: WorkerPool) {}

  /** first: the most likely holders. Other processes never make it reject. */
  find(
    owner: Owner,
    file: ScannedFile,
    first: Iterable<number> = [],
    boundMs: number = scanMs.background,
  ): Promise<Holders> {
    const scan = new Scan(this.pool, this.stuck, file, performance.now() + boundMs)
    const found = this.queue.run(owner, () => scan.run(first))
    return new Promise((resolve, reject) => {
      const noTurn = setTimeout(() => scan.hasBegun || resolve(unseen()), boundMs)
      found.then(resolve, reject).finally(() => clearTimeout(noTurn))
    })
  }
}

function unseen(): Holders {
  return { holders: [], unseen: 1, opaque: new Set([0]) }
}

class Scan {
  hasBegun = false
  private readonly found: Holders = { holders: [], unseen: 0, opaque: new Set() }

  constructor(
    private readonly pool: WorkerPool,
    private readonly stuck: Map<number, { start: number | undefined; isOver: boolean }>,
    private readonly file: ScannedFile,
    private readonly until: number,
  ) {}

  async run(first: Iterable<number>): Promise<Holders> {
    if (performance.now() >= this.until) return unseen()
    this.hasBegun = true
    for (const [pid, { start }] of this.stuck) if (startTimeOf(pid) !== start) this.stuck.delete(pid)
    const again = new Set(this.stuck.keys())
    const skip = [process.pid, ...this.pool.pids, ...again]
    const known = [...new Set(first)].filter(pid => !skip.includes(pid))
    await this.look(known, 1, [...skip, ...known], stuckMs)
    let looks = againMax
    for (const pid of again) {
      const state = this.stuck.get(pid)
      if (state?.isOver && looks-- > 0) {
        this.stuck.delete(pid)
        await this.look([pid], nobody, [], stuckAgainMs)
      } else this.miss(pid)
    }
    return this.found
  }

  /** Goes through the list, and then through all processes from a pid on. It skips each one that is stuck. */
  private async look(list: readonly number[], from: number, skip: readonly number[], patienceMs: number) {
    let rest = [...list]
    let next = from
    for (;;) {
      const at = await this.step(rest, next, skip, patienceMs)
      if (at === undefined) return
      const index = rest.indexOf(at.pid)
      if (index >= 0) rest = rest.slice(index + (at.isDone ? 1 : 0))
      else {
        rest = []
        next = at.pid + (at.isDone ? 1 : 0)
      }
      if (rest.length === 0 && next === nobody) return
    }
  }

  /** Returns where to go on. undefined: the scan is over. */
  private async step(
    first: readonly number[],
    from: number,
    skip: readonly number[],
    patienceMs: number,
  ): Promise<{ pid: number; isDone: boolean } | undefined> {
    const { dev, ino, parts = [] } = this.file
    const request = encodeRequest('holders', [
      u64(dev),
      u64(ino),
      ...list(parts.map(({ offset, length }) => [u64(offset), u64(length)])),
      ...list(first.map(pid => [u32(pid)])),
      u32(from),
      ...list(skip.map(pid => [u32(pid)])),
    ])
    const deadlineMs = this.until - performance.now()
    try {
      const outcome = await this.pool.run('scan', { request, deadlineMs, stuckMs: patienceMs })
      this.collect(outcome.found)
      if (outcome.kind === 'done') {
        if (outcome.status < 0) this.miss(0)
        return outcome.status > 0 ? { pid: outcome.status, isDone: false } : undefined
      }
      this.miss(outcome.pid)
      if (outcome.pid === 0) return undefined
      const state = { start: startTimeOf(outcome.pid), isOver: false }
      this.stuck.set(outcome.pid, state)
      void outcome.gone.then(() => {
        state.isOver = true
      })
      if (performance.now() < this.until) return { pid: outcome.pid, isDone: true }
      this.miss(0)
      return undefined
    } catch (error) {
      // Too many stuck workers, no descriptor, no memory, no process: the scan saw nobody.
      if (!(error instanceof NotInTime) && typeof (error as NodeJS.ErrnoException).syscall !== 'string')
        throw error
      this.miss(0)
      return undefined
    }
  }

  private miss(pid: number): void {
    this.found.unseen++
    this.found.opaque.add(pid)
  }

  private collect(found: Buffer): void {
    for (let at = 0; at < found.length; at += recordBytes) {
      const [pid, fds, maps, bits] = [0, 4, 8, 12].map(offset => found.readUInt32LE(at + offset)) as [
        number,
        number,
        number,
        number,
      ]
      if (fds > 0 || maps > 0) this.found.holders.push({ pid, fds, maps })
      if (bits & flags.unseen) this.miss(pid)
      if (bits & (flags.ring | flags.device)) this.found.opaque.add(pid)
    }
  }
}
