import { setTimeout as sleep } from 'node:timers/promises'
import { recordKernelFailures, scrubObserver } from '../contents/poison'
import { isEnvironment, StillReferenced } from '../failure'
import { infoSoon } from '../log/log'
import { Refusal } from '../refusal'
import type { Audience } from '../session/events'
import type { AllocationMemory, Proof, Source } from '../source/source'
import { type Allocation, Mapping, type Retired } from '../state/allocation'
import { memoryOf, memoryOfRetired } from '../state/range'
import { scanMs } from '../worker/holder-scan'
import { describe, isHeld, Prover, rightfulHolders, type Target } from './prover'
import { Revocation, type RevocationHost, type Step } from './revocation'

type RevokeOutcome = 'revoked' | 'quarantined'
type ReleaseOutcome = 'released' | 'quarantined'

const unreached = 'nobody reaches the memory any more'

/** The time between two looks while holders have time to let go. */
const lookEveryMs = 100

/**
 * Takes memory back, step by step: asks the holders, waits for them until the deadline, and asks the kernel for proof that
 * nobody reaches the memory. Without proof the policy decides: kill the remaining holders, take the memory from under them
 * where the source can, or quarantine it.
 */
export class Revoker {
  private readonly revoking = new Map<Mapping, Revocation<RevokeOutcome>>()
  private readonly releasing = new Map<Allocation, Revocation<ReleaseOutcome>>()
  private readonly prover: Prover

  constructor(private readonly broker: RevocationHost) {
    this.prover = new Prover(broker)
  }

  isRevoking(mapping: Mapping): boolean {
    return this.revoking.has(mapping)
  }

  /**
   * byHolder: the mapping's own process says that it has unmapped and closed it. If nobody reaches the memory any more, the
   * mapping ends at once.
   */
  revoke(
    mapping: Mapping,
    { graceMs, byHolder }: { graceMs: number; byHolder: boolean },
    step: Step,
  ): RevokeOutcome | Promise<RevokeOutcome> {
    if (byHolder) {
      step('given back by its process')
      mapping.giveBack()
    }
    const deadline = performance.now() + graceMs
    const running = this.revoking.get(mapping)
    if (running) return running.join(deadline, step)
    if (this.revokeNow(mapping, step)) return 'revoked'
    const revocation = new Revocation<RevokeOutcome>(deadline, async self => {
      // The revocation begins only after the map has it, so callers can join from its first step on.
      await Promise.resolve()
      try {
        return await this.runRevoke(mapping, self)
      } finally {
        this.revoking.delete(mapping)
        // Without a proof, or after an error, the quarantine looks again.
        if (mapping.state === 'revoking') this.broker.quarantine.checkSoon()
      }
    })
    this.revoking.set(mapping, revocation)
    return revocation.join(deadline, step)
  }

  /**
   * One commit, where a revocation that waits has two. With the turns of the event loop that it saves, that is half of the time
   * of a revocation.
   */
  private revokeNow(mapping: Mapping, step: Step): boolean {
    const { allocation } = mapping
    const { id, range } = allocation
    if (mapping.hold === 'held' || !range.source.isUnreached?.(id)) return false
    this.finish(mapping)
    this.teller(allocation, step, mapping)(unreached)
    return true
  }

  private async runRevoke(mapping: Mapping, revocation: Revocation<RevokeOutcome>): Promise<RevokeOutcome> {
    const { allocation } = mapping
    const tell = this.teller(allocation, revocation.tell, mapping)
    this.broker.checkThawed()
    if (!this.broker.inventory.mappings.has(mapping.id)) return 'revoked'
    if (mapping.state !== 'revoking') this.broker.inventory.changeMapping(mapping, { state: 'revoking' })
    if (mapping.hold === 'held') await this.ask([mapping], revocation, tell)
    const remaining = await this.end(allocation, () => this.rightful(mapping), tell, mapping)
    if (remaining.kind === 'held') {
      tell(`quarantined: ${describe(remaining)}`)
      this.broker.changed('quarantined', allocation, { mapping, detail: describe(remaining) })
      return 'quarantined'
    }
    const others = this.rightful(mapping).size > 0
    this.finish(mapping)
    tell(others ? 'only its other holders have the allocation open' : unreached)
    return 'revoked'
  }

  /**
   * Returns the processes that may go on reaching the allocation while this mapping ends. It returns none while the mapping's
   * process lives and has not given it back: then only the kernel's word counts, which requires that nobody at all has the
   * memory open.
   */
  private rightful(mapping: Mapping): Set<number> {
    return mapping.hold === 'held' ? new Set() : rightfulHolders(mapping.allocation, mapping)
  }

  /**
   * Ends a mapping whose memory nobody reaches any more, by proof. @throws Refusal Frozen, RangeReadOnly: it stays revoking,
   * and the quarantine ends it later
   */
  finish(mapping: Mapping): void {
    this.broker.checkThawed()
    if (!this.broker.inventory.mappings.has(mapping.id)) return
    const pid = mapping.holder?.pid
    this.broker.inventory.removeMapping(mapping)
    this.broker.changed('revoked', mapping.allocation, { mapping, ...(pid !== undefined && { pid }) })
  }

  /** Joins a release that is under way. If nobody reaches the memory, and it is little, the allocation ends at once. */
  release(allocation: Allocation, graceMs: number, step: Step): ReleaseOutcome | Promise<ReleaseOutcome> {
    const deadline = performance.now() + graceMs
    const running = this.releasing.get(allocation)
    if (running) return running.join(deadline, step)
    const outcome = this.releaseNow(allocation, step)
    if (outcome) return outcome
    allocation.busy = 'release'
    const revocation = new Revocation<ReleaseOutcome>(deadline, async self => {
      await Promise.resolve()
      try {
        return await this.runRelease(allocation, self)
      } finally {
        this.releasing.delete(allocation)
        allocation.busy = undefined
      }
    })
    this.releasing.set(allocation, revocation)
    return revocation.join(deadline, step)
  }

  /**
   * One commit, and no retired memory. With what else it saves, a release takes a third of the time. undefined: it takes more
   * than that.
   */
  private releaseNow(allocation: Allocation, step: Step): ReleaseOutcome | undefined {
    const { inventory, events, statistics } = this.broker
    const { range, record } = allocation
    // Its pages may turn out to be bad, and the ledger has to know before others get them.
    if (range.source.ownsPages) return undefined
    const audience = allocation.audience()
    const event = eventOf(allocation)
    const tell = this.teller(allocation, step)
    let isEnded = false
    try {
      const commit = () => {
        this.broker.checkThawed()
        inventory.end(allocation)
        isEnded = true
      }
      if (!range.source.endNow?.(memoryOf(record), commit)) return undefined
    } catch (error) {
      if (!isEnded || !isEnvironment(error)) throw error
      const { message: reason } = error as Error
      try {
        inventory.retireEnded(allocation, reason)
      } catch (refusal) {
        if (!isEnvironment(refusal)) throw refusal
        this.broker.log.error(
          { err: refusal, allocation: event.allocation, reason },
          'memory of a released allocation is out of use until a restart',
        )
      }
      this.tellQuarantined(allocation, audience, reason, tell)
      return 'quarantined'
    }
    range.free(record.extents)
    statistics.scrubbedBytes += record.bytes
    events.emit({ kind: 'released', ...event }, () => audience)
    tell('scrubbed and free')
    events.emit({ kind: 'reclaimed', ...event }, () => ({ uids: [record.uid], pids: [] }))
    return 'released'
  }

  /** The memory of an allocation that has ended is in quarantine. */
  private tellQuarantined(allocation: Allocation, audience: Audience, reason: string, tell: Step): void {
    const { events, log, quarantine } = this.broker
    const event = eventOf(allocation)
    events.emit({ kind: 'released', ...event }, () => audience)
    events.emit({ kind: 'quarantined', ...event, detail: reason }, () => audience)
    log.warn({ allocation: event.allocation, bytes: event.bytes, reason }, 'memory is in quarantine')
    quarantine.checkSoon()
    tell(`quarantined: ${reason}`)
  }

  private async runRelease(
    allocation: Allocation,
    revocation: Revocation<ReleaseOutcome>,
  ): Promise<ReleaseOutcome> {
    const tell = this.teller(allocation, revocation.tell)
    await this.ask([...allocation.mappings.values()], revocation, tell)
    const reachable = await this.disown(targetOf(allocation), memoryOf(allocation.record))
    const remaining = reachable ?? (await this.end(allocation, () => new Set(), tell))
    this.broker.checkThawed()
    const { inventory, events, quarantine } = this.broker
    const audience = allocation.audience()
    if (remaining.kind === 'held') {
      const reason = describe(remaining)
      inventory.retire(allocation, 'quarantined', reason, remaining.pids)
      this.tellQuarantined(allocation, audience, reason, tell)
      return 'quarantined'
    }
    const retired = inventory.retire(allocation, 'scrubbing', 'released', [])
    events.emit({ kind: 'released', ...eventOf(allocation) }, () => audience)
    tell('nobody reaches it any more; scrubbing')
    try {
      await this.reclaim(retired)
    } catch (error) {
      quarantine.checkSoon()
      if (!(error instanceof StillReferenced)) throw error
      tell(`quarantined: ${error.message}`)
      return 'quarantined'
    }
    tell('scrubbed and free')
    return 'released'
  }

  /**
   * Scrubs and frees retired memory that nobody reaches any more, by proof. After a failure it stays retired, and the
   * quarantine tries again. @throws SystemError; StillReferenced: the kernel has not got all of it back, and it is in
   * quarantine
   */
  async reclaim(retired: Retired): Promise<void> {
    const { range } = retired
    const { name, uid } = retired.record
    recordKernelFailures(this.broker, range, retired.record.extents)
    retired.scrubbing = scrubObserver(this.broker, range)
    try {
      await range.source.destroy(memoryOfRetired(retired.record), retired.scrubbing)
    } catch (error) {
      if (error instanceof StillReferenced) this.keepRetired(retired, error.message)
      throw error
    } finally {
      retired.scrubbing = undefined
    }
    this.broker.checkThawed()
    const bytes = retired.bytes
    this.broker.statistics.scrubbedBytes += retired.bytes
    this.broker.inventory.free(retired)
    this.broker.events.emit(
      { kind: 'reclaimed', allocation: name, range: retired.range.name, uid, bytes },
      () => ({ uids: [uid], pids: [] }),
    )
  }

  /** Frees the end that a shrink cut off. Until that succeeds, the end stays retired, and the quarantine tries again. */
  async reclaimEnd({ range, record }: Allocation, end: Retired): Promise<void> {
    try {
      await range.source.trim?.(memoryOf(record), memoryOfRetired(end.record)).catch(error => {
        if (isEnvironment(error)) this.keepRetired(end, (error as Error).message)
        throw error
      })
      if (this.broker.inventory.retired.has(end.record.id) && !end.scrubbing) await this.reclaim(end)
    } catch (error) {
      if (!isEnvironment(error)) throw error
      this.broker.log.warn(
        { err: error, allocation: record.name },
        'the end of an allocation is not free yet',
      )
      this.broker.quarantine.checkSoon()
    }
  }

  private keepRetired(retired: Retired, reason: string): void {
    const { range, record } = retired
    this.broker.inventory.changeRetired(retired, { state: 'quarantined', reason })
    this.broker.log.warn({ allocation: record.name, bytes: retired.bytes, reason }, 'memory is in quarantine')
    this.broker.events.emit(
      {
        kind: 'quarantined',
        allocation: record.name,
        range: range.name,
        uid: record.uid,
        bytes: retired.bytes,
        detail: reason,
      },
      () => ({ uids: [record.uid], pids: [] }),
    )
  }

  /** Names who has memory open, and does nothing about it. */
  look(target: Target): Promise<Proof> {
    return this.prover.look(target)
  }

  /**
   * Takes the right to open it by path from its owner, and then proves that nobody reaches it. It asks and kills nobody, and
   * takes nothing away.
   */
  async proveUnused(allocation: Allocation): Promise<Proof> {
    const target = targetOf(allocation)
    const reachable = await this.disown(target, memoryOf(allocation.record))
    return reachable ?? this.prover.settle(() => this.prover.prove(target), false)
  }

  /**
   * Neither asks nor kills anybody. It looks. If it sees nobody and the policy is `take`, it takes the memory. The quarantine
   * calls it once a second, so it reports only a success. named: it also finds out which processes hold the memory.
   */
  async lookOrTake(of: Retired | Mapping, named: boolean): Promise<Proof> {
    if (of instanceof Mapping) {
      const { allocation } = of
      const target = targetOf(allocation)
      const rightful = this.rightful(of)
      const isNamed = named || rightful.size > 0 || this.canTake(allocation.range.source)
      const proof = isNamed
        ? await this.prover.proveExcept(target, rightful, of, scanMs.background)
        : await this.prover.word(target)
      if (
        proof.kind === 'gone' ||
        isHeld(proof, this.canTake(allocation.range.source)) ||
        allocation.busy !== undefined
      )
        return proof
      const silent = () => {}
      const tell = this.teller(allocation, silent, of)
      return whenGone(tell, step => this.forceRevoke(allocation, of, proof, step))
    }
    const { range, record } = of
    const target = { id: record.allocationId, range, uid: record.uid }
    const look = () =>
      named || this.canTake(range.source)
        ? this.prover.prove(target, scanMs.background)
        : this.prover.word(target)
    const proof = (await this.disown(target, memoryOfRetired(record))) ?? (await look())
    if (proof.kind === 'gone' || isHeld(proof, this.canTake(range.source))) return proof
    const tell = (text: string) => this.broker.log.info({ allocation: record.name }, `quarantine: ${text}`)
    return whenGone(tell, step => this.take(target, step))
  }

  /** Takes the memory from its owner, who could open it by path. If that fails, there can be no proof, and it returns why. */
  private async disown({ range }: Target, memory: AllocationMemory): Promise<Proof | undefined> {
    try {
      await range.source.disown?.(memory)
      return undefined
    } catch (error) {
      if (!isEnvironment(error)) throw error
      const why = `the broker could not take it from its owner: ${(error as Error).message}`
      return { kind: 'held', pids: [], unseen: true, why }
    }
  }

  private teller(allocation: Allocation, step: Step, mapping?: Mapping): Step {
    return text => {
      step(text)
      infoSoon(this.broker.log, { allocation: allocation.name, mapping: mapping?.id }, `revocation: ${text}`)
      this.broker.changed('revokeStep', allocation, { ...(mapping && { mapping }), detail: text })
    }
  }

  /** Asks the holders, and waits until each has given its mapping back or has exited, or until the deadline. */
  private async ask(mappings: Mapping[], revocation: Revocation<unknown>, tell: Step): Promise<void> {
    const held = mappings.filter(mapping => mapping.holder !== undefined)
    if (held.length === 0) return
    const { allocation } = held[0]!
    const { source } = allocation.range
    const target = targetOf(allocation)
    const taking = this.canTake(source)
    if (!(await this.prover.isReached(target, taking))) return
    // The wire carries the time of day.
    const deadline = Date.now() + Math.round(revocation.deadlineAt - performance.now())
    const returns = held
      .filter(mapping => mapping.holder !== undefined)
      .map(mapping => {
        const { pid } = mapping.holder!
        const asked = this.broker.sessionsOf(mapping.holder!).some(session => session.watching)
        tell(
          asked
            ? `asked process ${pid} to give back mapping ${mapping.id}`
            : `process ${pid} does not listen for requests; waiting for it to exit`,
        )
        this.broker.changed('revokeRequested', allocation, { mapping, pid, deadline })
        return mapping.untilReturned()
      })
    const done = new AbortController()
    void Promise.all(returns).then(() => done.abort())
    // A holder may let go of the memory without telling the broker.
    while (performance.now() < revocation.deadlineAt && !done.signal.aborted) {
      await revocation.wait(lookEveryMs, done.signal)
      if (done.signal.aborted || !(await this.prover.isReached(target, taking))) return
    }
  }

  /** Carries out the policy at the deadline, and returns the remaining holders. */
  private async end(
    allocation: Allocation,
    rightful: () => Set<number>,
    tell: Step,
    mapping?: Mapping,
  ): Promise<Proof> {
    const { source } = allocation.range
    const look = () => this.prover.proveExcept(targetOf(allocation), rightful(), mapping)
    const taking = this.canTake(source)
    const proof = await this.prover.settle(look, taking)
    if (proof.kind === 'gone') return proof
    if (taking) return this.forceRevoke(allocation, mapping, proof, tell)
    if (this.broker.settings.onDeadline !== 'kill') return proof
    // The broker does not kill a process for this mapping if it rightly has another one.
    const others = mapping ? rightfulHolders(allocation, mapping) : new Set<number>()
    const pids = proof.pids.filter(pid => !others.has(pid))
    if (!(await this.prover.killHolders(pids, allocation, tell))) return proof
    return this.prover.settle(look, taking)
  }

  private canTake(source: Source): boolean {
    return this.broker.settings.onDeadline === 'take' && source.take !== undefined
  }

  /**
   * Takes the memory away from every process that still reaches it, unless a living process has another mapping of it. When a
   * mapping is revoked, its allocation goes on, so the source makes the memory usable again. without: the proof so far.
   */
  private async forceRevoke(
    allocation: Allocation,
    mapping: Mapping | undefined,
    without: Proof,
    tell: Step,
  ): Promise<Proof> {
    const { source } = allocation.range
    if (!mapping) return this.take(targetOf(allocation), tell)
    while (allocation.busy !== undefined) await sleep(lookEveryMs)
    // The other operation may have ended the mapping, or have given the memory to another process.
    if (!this.broker.inventory.mappings.has(mapping.id)) return { kind: 'gone' }
    if (isUsedByOthers(allocation, mapping)) return without
    allocation.busy = 'revoke'
    try {
      const proof = await this.take(targetOf(allocation), tell)
      if (proof.kind === 'gone') await source.repair!(memoryOf(allocation.record))
      return proof
    } finally {
      allocation.busy = undefined
    }
  }

  private async take(target: Target, tell: Step): Promise<Proof> {
    tell('taking the memory away from all who may still reach it')
    const { range, id } = target
    const { inventory } = this.broker
    recordKernelFailures(
      this.broker,
      range,
      (inventory.byId.get(id) ?? inventory.retiredAs(id))?.record.extents ?? [],
    )
    const proof = await this.broker.contents.unread(id, () => range.source.take!(id))
    tell(
      proof.kind === 'gone'
        ? 'the kernel has ended every descriptor and mapping of it'
        : `not taken away by force: ${describe(proof)}`,
    )
    return proof
  }
}

/** Reports the steps of an attempt only if it succeeds. */
async function whenGone(tell: Step, attempt: (step: Step) => Promise<Proof>): Promise<Proof> {
  const steps: string[] = []
  const proof = await attempt(text => steps.push(text))
  if (proof.kind === 'gone') steps.forEach(tell)
  return proof
}

function eventOf({ name, range, record }: Allocation) {
  return { allocation: name, range: range.name, uid: record.uid, bytes: record.bytes }
}

function targetOf({ id, range, record }: Allocation): Target {
  return { id, range, uid: record.uid }
}

/** A living process has another mapping of it that is not being revoked. */
function isUsedByOthers(allocation: Allocation, mapping: Mapping): boolean {
  return [...allocation.mappings.values()].some(other => other !== mapping && other.state === 'held')
}

/** Whether the same attempt may succeed later. */
export function isLater(error: unknown): boolean {
  return error instanceof Refusal && ['Frozen', 'RangeReadOnly', 'TableFull'].includes(error.error)
}
