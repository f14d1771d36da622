import { setTimeout as sleep } from 'node:timers/promises'
import type { Call } from '../../../protocol/wire/responder'
import { inAllocation } from '../allocator/extents'
import { refuse } from '../refusal'
import type { Proof } from '../source/source'
import type { Allocation } from '../state/allocation'
import type { Inventory } from '../state/inventory'
import type { Statistics } from '../statistics'
import { DigestJob, type Outcome } from './digest-job'
import type { KernelLog } from './kernel-log'

/** Threads check for a stop after each MiB, so only memory that does not answer takes longer. */
const stopMs = 1000
/** The time between two replies that report the progress of an inspection. */
const tellEveryMs = 200

type Operation = 'freeze' | 'verify'

/** A call that reads several allocations, one after another. */
interface Inspection {
  operation: Operation
  allocations: readonly Allocation[]
  call: Call
  /** Replies with the progress; returns what replyMore returned. */
  tell(bytesDone: number): boolean
  /** bytesDone: of all allocations up to this one. */
  each(allocation: Allocation, outcome: Outcome, bytesDone: number): void | Promise<void>
  /** The reason not to read an allocation at all. */
  skip(allocation: Allocation): string | undefined
}

/**
 * Reads what allocations hold. While the broker reads memory, it holds it open like a client. So before a proof that nobody
 * reaches the memory, and before the broker takes a device away, the reading ends; no reading begins during them.
 */
export class Contents {
  private readonly readings = new Map<number, DigestJob>()
  /** Per allocation: how many operations need the broker to leave its memory alone. */
  private readonly undisturbed = new Map<number, number>()
  /** Allocations of which the broker gives pages back to the host. */
  private readonly discards = new Map<number, Promise<void>>()
  private inspecting: { operation: Operation; stopped: boolean; reading?: DigestJob } | undefined

  constructor(
    private readonly inventory: Inventory,
    private readonly statistics: Statistics,
    private readonly kernelLog: KernelLog,
  ) {}

  /** Runs work while the broker itself does not touch an allocation's memory. */
  async unread(id: number, work: () => Promise<Proof>): Promise<Proof> {
    this.undisturbed.set(id, (this.undisturbed.get(id) ?? 0) + 1)
    try {
      if (!(await this.stop(id)))
        return { kind: 'held', pids: [], unseen: true, why: 'the broker itself still has it open' }
      return await work()
    } finally {
      const others = this.undisturbed.get(id)! - 1
      if (others > 0) this.undisturbed.set(id, others)
      else this.undisturbed.delete(id)
    }
  }

  /** Stops the reading of an allocation, and waits for a discard. False: they do not end in time. */
  async stop(id: number): Promise<boolean> {
    const discard = this.discards.get(id)
    // Nearly always. The rest of this function took a tenth of a grant's and its revocation's time.
    if (!discard && !this.readings.has(id)) return true
    const late = new AbortController()
    const discarded =
      discard && Promise.race([discard.then(() => true), sleep(stopMs, false, { signal: late.signal })])
    const [read = true, done = true] = await Promise.all([this.readings.get(id)?.stop(stopMs), discarded])
    late.abort()
    return read && done
  }

  /** Runs work that discards pieces of it: one at a time, and none while the broker must not have it open. @throws Refusal Busy */
  async discard(allocation: Allocation, work: () => Promise<void>): Promise<void> {
    const { id, name } = allocation
    this.checkMayRead(allocation)
    if (this.discards.has(id)) refuse('Busy', { name, operation: 'discard' })
    const discard = work()
    const ended = () => {
      this.discards.delete(id)
    }
    this.discards.set(id, discard.then(ended, ended))
    await discard
  }

  /** For code that reads memory itself. @throws Refusal Busy while the broker must not have it open */
  checkMayRead({ id, name }: Allocation): void {
    if (this.undisturbed.has(id)) refuse('Busy', { name, operation: 'revoke' })
  }

  /** The broker runs only one inspection at a time: a second would slow down the first. @throws Refusal Busy */
  checkIdle(operation: Operation): void {
    if (this.inspecting) refuse('Busy', { name: operation, operation: this.inspecting.operation })
  }

  /** False when the caller has gone or stopInspection() has stopped it. @throws Refusal Busy */
  async inspect({ operation, allocations, call, tell, each, skip }: Inspection): Promise<boolean> {
    this.checkIdle(operation)
    const inspecting: NonNullable<typeof this.inspecting> = { operation, stopped: false }
    this.inspecting = inspecting
    call.onEnd(() => {
      if (this.inspecting === inspecting) this.stopInspection(operation)
    })
    let done = 0
    let slow = false
    call.onDrain(() => {
      slow = false
    })
    const ticker = setInterval(() => {
      if (call.more && !slow) slow = !tell(done + (inspecting.reading?.bytesDone() ?? 0))
    }, tellEveryMs)
    try {
      for (const allocation of allocations) {
        if (inspecting.stopped) return false
        const outcome = await this.read(allocation, skip, reading => {
          inspecting.reading = reading
        })
        delete inspecting.reading
        if (inspecting.stopped) return false
        done += allocation.record.bytes
        await each(allocation, outcome, done)
      }
      return !inspecting.stopped
    } finally {
      clearInterval(ticker)
      this.inspecting = undefined
    }
  }

  stopInspection(operation: Operation): void {
    if (this.inspecting?.operation !== operation) return
    this.inspecting.stopped = true
    this.inspecting.reading?.cancel()
  }

  private async read(
    allocation: Allocation,
    skip: Inspection['skip'],
    started: (reading: DigestJob) => void,
  ): Promise<Outcome> {
    const reason = this.whyNot(allocation) ?? skip(allocation)
    if (reason !== undefined) return { kind: 'unread', reason }
    const { range, record } = allocation
    const bad = this.kernelLog.poisonOf(range, record.extents)
    if (bad.length > 0)
      return { kind: 'poisoned', pieces: bad.flatMap(extent => inAllocation(record.extents, extent)) }
    let reading: DigestJob
    try {
      reading = DigestJob.start(allocation)
    } catch (error) {
      return { kind: 'unread', reason: (error as Error).message }
    }
    this.readings.set(allocation.id, reading)
    started(reading)
    const outcome = await reading.outcome
    this.readings.delete(allocation.id)
    this.statistics.digestedBytes += reading.bytesDone()
    return outcome
  }

  private whyNot(allocation: Allocation): string | undefined {
    const { id, range, busy, mappings } = allocation
    if (this.inventory.byId.get(id) !== allocation) return 'it was released meanwhile'
    if (range.source.byNameOnly) return 'it is no ordinary memory: reading it may have effects'
    if (busy !== undefined) return `its ${busy} is under way`
    const revoking = [...mappings.values()].some(({ state }) => state === 'revoking')
    if (this.discards.has(id)) return 'its discard is under way'
    if (revoking || this.undisturbed.has(id)) return 'the broker is taking it back from a holder'
    return undefined
  }
}
