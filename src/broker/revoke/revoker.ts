import { closeSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../../native'
import type { Broker } from '../broker'
import { Refusal } from '../refusal'
import type { Proof, Source } from '../source/source'
import { type Allocation, Mapping, type Retired } from '../state/entries'
import { pieceOf, pieceOfRetired } from '../state/range'

/** How the way down is reported, one sentence a step. */
export type Step = (text: string) => void

export type RevokeOutcome = 'revoked' | 'quarantined'
export type ReleaseOutcome = 'released' | 'quarantined'

/** A killed process is given this long to be gone; uninterruptible system calls can take a while. */
const killMs = 5000
/** Descriptors on their way through a socket, and a dead process' last references, are gone within moments. */
const settleMs = 200
/** Between two looks while holders are given time. */
const lookEveryMs = 100

/**
 * The ladder by which memory comes back: ask the holders, wait for them until the deadline, ask the kernel for proof
 * that nobody reaches the memory, and without it do what the policy says: kill who is left, or quarantine.
 */
export class Revoker {
  /** Ladders in progress; a second call for the same mapping joins the first. */
  private readonly revoking = new Map<Mapping, Promise<RevokeOutcome>>()

  private readonly proving = new Map<number, Promise<Proof>>()

  constructor(private readonly broker: Broker) {}

  isRevoking(mapping: Mapping): boolean {
    return this.revoking.has(mapping)
  }

  /** byHolder: its own process says that it has unmapped and closed. */
  revoke(
    mapping: Mapping,
    options: { graceMs: number; byHolder: boolean },
    step: Step,
  ): Promise<RevokeOutcome> {
    if (options.byHolder) {
      step('given back by its process')
      mapping.returned()
    }
    const running = this.revoking.get(mapping)
    if (running) return running
    const ladder = this.revokeAlone(mapping, options, step).finally(() => {
      this.revoking.delete(mapping)
      // Without a proof, or with an error on the way, somebody has to look again.
      if (mapping.record.state === 'revoking') this.broker.quarantine.checkSoon()
    })
    this.revoking.set(mapping, ladder)
    return ladder
  }

  private async revokeAlone(
    mapping: Mapping,
    { graceMs, byHolder }: { graceMs: number; byHolder: boolean },
    step: Step,
  ): Promise<RevokeOutcome> {
    const { allocation } = mapping
    const tell = this.teller(allocation, step, mapping)
    const deadline = Date.now() + graceMs
    if (mapping.record.state !== 'revoking')
      this.broker.inventory.changeMapping(mapping, { state: 'revoking' })
    if (mapping.holder && !byHolder) await this.ask([mapping], deadline, tell)
    // With its own process' word there is no one left to wait for; without it the deadline has come already.
    const remaining = await this.prove(allocation, () => this.legitimate(allocation, mapping), tell, mapping)
    if (remaining.kind === 'held') {
      tell(`quarantined: ${describe(remaining)}`)
      this.broker.changed('quarantined', allocation, { mapping, detail: describe(remaining) })
      this.broker.quarantine.checkSoon()
      return 'quarantined'
    }
    this.finish(mapping)
    return 'revoked'
  }

  /** The mapping is proved to be over. @throws Refusal Frozen, RangeReadOnly: it stays revoking, and is finished later */
  finish(mapping: Mapping): void {
    this.broker.checkThawed()
    if (!this.broker.inventory.mappings.has(mapping.id)) return
    const pid = mapping.holder?.pid
    this.broker.changed('revoked', mapping.allocation, { mapping, ...(pid !== undefined && { pid }) })
    this.broker.inventory.removeMapping(mapping)
  }

  /** The caller has marked the allocation busy and clears that mark. */
  async release(allocation: Allocation, graceMs: number, step: Step): Promise<ReleaseOutcome> {
    const tell = this.teller(allocation, step)
    await this.ask([...allocation.mappings.values()], Date.now() + graceMs, tell)
    allocation.range.source.disown(allocation.id)
    const remaining = await this.prove(allocation, () => new Set(), tell)
    this.broker.checkThawed()
    const { inventory } = this.broker
    const audience = allocation.audience()
    const event = {
      allocation: allocation.name,
      range: allocation.range.name,
      uid: allocation.record.uid,
      bytes: allocation.record.bytes,
    }
    if (remaining.kind === 'held') {
      const reason = describe(remaining)
      const retired = inventory.retire(allocation, 'quarantined', reason, remaining.pids)
      this.broker.events.emit({ kind: 'released', ...event }, () => audience)
      this.broker.events.emit({ kind: 'quarantined', ...event, detail: reason }, () => audience)
      this.broker.log.warn(
        { allocation: allocation.name, bytes: retired.bytes, reason },
        'memory is in quarantine',
      )
      this.broker.quarantine.checkSoon()
      tell(`quarantined: ${reason}`)
      return 'quarantined'
    }
    const retired = inventory.retire(allocation, 'scrubbing', 'released', [])
    this.broker.events.emit({ kind: 'released', ...event }, () => audience)
    tell('nobody reaches it any more; scrubbing')
    try {
      await this.reclaim(retired)
    } catch (error) {
      this.broker.quarantine.checkSoon()
      throw error
    }
    tell('scrubbed and free')
    return 'released'
  }

  /** End retired memory of which it is proved that nobody reaches it. On failure it stays retired, to be tried again. */
  async reclaim(retired: Retired): Promise<void> {
    const { name, uid } = retired.record
    retired.busy = true
    try {
      await retired.range.source.destroy(pieceOfRetired(retired.record))
    } finally {
      retired.busy = false
    }
    this.broker.checkThawed()
    const bytes = retired.bytes
    this.broker.inventory.free(retired)
    this.broker.events.emit(
      { kind: 'reclaimed', allocation: name, range: retired.range.name, uid, bytes },
      () => ({ uids: [uid], pids: [] }),
    )
  }

  private teller(allocation: Allocation, step: Step, mapping?: Mapping): Step {
    return text => {
      step(text)
      this.broker.log.info({ allocation: allocation.name, mapping: mapping?.id }, `revocation: ${text}`)
      this.broker.changed('revokeStep', allocation, { ...(mapping && { mapping }), detail: text })
    }
  }

  /** Until every holder has given back what it was asked for, has exited, or the deadline has come. */
  private async ask(mappings: Mapping[], deadline: number, tell: Step): Promise<void> {
    const held = mappings.filter(mapping => mapping.holder !== undefined)
    if (held.length === 0) return
    const { allocation } = held[0]!
    if (!isHeld(await this.proveAlone(allocation), allocation.range.source)) return
    const done = new AbortController()
    const returns = held.map(mapping => {
      const { pid } = mapping.holder!
      const asked = this.broker.sessionsOf(mapping.holder!).some(session => session.watching)
      tell(
        asked
          ? `asked process ${pid} to give back mapping ${mapping.id}`
          : `process ${pid} does not listen for requests; waiting for it to exit`,
      )
      this.broker.changed('revokeRequested', mapping.allocation, { mapping, pid, deadline })
      return mapping.untilReturned()
    })
    await Promise.race([Promise.all(returns), this.deadline(allocation, deadline, done.signal)])
    done.abort()
  }

  /** Until the deadline, or until nobody reaches the memory any more although nobody said so. */
  private async deadline(allocation: Allocation, deadline: number, signal: AbortSignal): Promise<void> {
    while (Date.now() < deadline && !signal.aborted) {
      await sleep(Math.min(lookEveryMs, deadline - Date.now()), undefined, { signal }).catch(() => {})
      if (signal.aborted || !isHeld(await this.proveAlone(allocation), allocation.range.source)) return
    }
  }

  /** Processes that may go on reaching the allocation, because they hold another mapping of no less access. */
  legitimate(allocation: Allocation, revoked: Mapping): Set<number> {
    const pids = new Set<number>()
    for (const mapping of allocation.mappings.values())
      if (
        mapping !== revoked &&
        mapping.holder &&
        mapping.record.state === 'held' &&
        (mapping.record.access === 'readWrite' || revoked.record.access === 'read')
      )
        pids.add(mapping.holder.pid)
    return pids
  }

  /** Who is left; where the policy says so, after killing them. */
  private async prove(
    allocation: Allocation,
    legitimate: () => Set<number>,
    tell: Step,
    mapping?: Mapping,
  ): Promise<Proof> {
    const { source } = allocation.range
    const look = async () => this.look(allocation, legitimate())
    const force = (proof: Proof) =>
      proof.kind === 'gone' ? proof : this.force(allocation, mapping, proof, tell)
    const proof = await force(await this.settle(look, source))
    if (proof.kind === 'gone' || this.broker.settings.onDeadline !== 'kill') return proof
    const killed = proof.pids.filter(pid => mayKill(pid, allocation))
    if (killed.length === 0) return proof
    await Promise.all(killed.map(pid => this.kill(pid, tell)))
    return force(await this.settle(look, source))
  }

  /**
   * Where the source can, take the memory away from whoever still reaches it, unless somebody has another mapping of
   * it. Of a revoked mapping the allocation goes on, so its memory is made usable again. without: the proof so far.
   */
  private async force(
    allocation: Allocation,
    mapping: Mapping | undefined,
    without: Proof,
    tell: Step,
  ): Promise<Proof> {
    const { source } = allocation.range
    if (!source.cut) return without
    if (!mapping) return this.cut(allocation, tell)
    while (allocation.busy !== undefined) await sleep(lookEveryMs)
    // The other change may have ended the mapping, or have given the memory to someone else.
    if (!this.broker.inventory.mappings.has(mapping.id)) return { kind: 'gone' }
    if (isUsedByOthers(allocation, mapping)) return without
    allocation.busy = 'revoke'
    try {
      const proof = await this.cut(allocation, tell)
      if (proof.kind === 'gone') await source.mend!(pieceOf(allocation.record))
      return proof
    } finally {
      allocation.busy = undefined
    }
  }

  private async cut(target: { id: number; range: Allocation['range'] }, tell: Step): Promise<Proof> {
    tell('taking the memory away from whoever may still reach it')
    const proof = await target.range.source.cut!(target.id)
    tell(
      proof.kind === 'gone'
        ? 'the kernel has ended every descriptor and mapping of it'
        : `not taken away by force: ${describe(proof)}`,
    )
    return proof
  }

  /** Without asking or killing anybody: by looking, or where nobody is seen and the source can, by force. */
  async lookOrForce(of: Retired | Mapping): Promise<Proof> {
    if (of instanceof Mapping) {
      const { allocation } = of
      const proof = await this.look(allocation, this.legitimate(allocation, of))
      if (proof.kind === 'gone' || isHeld(proof, allocation.range.source) || allocation.busy !== undefined)
        return proof
      return this.force(
        allocation,
        of,
        proof,
        this.teller(allocation, () => {}, of),
      )
    }
    const { range, record } = of
    const target = { id: record.allocationId, range }
    const proof = await this.look(target, new Set())
    if (proof.kind === 'gone' || isHeld(proof, range.source)) return proof
    return this.cut(target, text => this.broker.log.info({ allocation: record.name }, `quarantine: ${text}`))
  }

  async look(
    allocation: { id: number; range: Allocation['range'] },
    legitimate: Set<number>,
  ): Promise<Proof> {
    const proof = await this.proveAlone(allocation)
    if (proof.kind === 'gone' || legitimate.size === 0) return proof
    const pids = proof.pids.filter(pid => !legitimate.has(pid))
    // While others rightly hold the file the kernel's lease can't tell; the memory is not reused, only its reach is judged.
    return pids.length === 0 && !(proof.unseen && proof.pids.length === 0)
      ? { kind: 'gone' }
      : { ...proof, pids }
  }

  /** One proof of an allocation at a time: its own descriptor is what another one would find. */
  private proveAlone(allocation: { id: number; range: Allocation['range'] }): Promise<Proof> {
    const before = this.proving.get(allocation.id) ?? Promise.resolve()
    const proof = before.catch(() => {}).then(() => allocation.range.source.prove(allocation.id))
    this.proving.set(allocation.id, proof)
    const done = () => {
      if (this.proving.get(allocation.id) === proof) this.proving.delete(allocation.id)
    }
    proof.then(done, done)
    return proof
  }

  private async settle(look: () => Promise<Proof>, source: Source): Promise<Proof> {
    const until = Date.now() + settleMs
    let proof = await look()
    for (let wait = 5; isHeld(proof, source) && Date.now() < until; wait *= 2) {
      await sleep(wait)
      proof = await look()
    }
    return proof
  }

  private async kill(pid: number, tell: Step): Promise<void> {
    let pidfd: number
    try {
      pidfd = native.pidfdOpen(pid)
    } catch {
      return
    }
    tell(`the deadline has passed: killing process ${pid}`)
    const gone = new Promise<void>(resolve => {
      const watch = new native.ExitWatch(native.dupFd(pidfd), () => {
        watch.close()
        resolve()
      })
      setTimeout(() => {
        watch.close()
        resolve()
      }, killMs).unref()
    })
    try {
      native.pidfdSendSignal(pidfd, 9)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH')
        tell(`process ${pid} can't be killed: ${(error as Error).message}`)
    } finally {
      closeSync(pidfd)
    }
    await gone
  }
}

/** Kept in the table, which has little room for it. */
const pidsToldMax = 8
const whyMax = 500

/**
 * Only who was given the allocation, or runs as somebody who may have it. A descriptor can be passed to anybody, also
 * to a daemon the whole host depends on.
 */
function mayKill(pid: number, { record, holder, mappings }: Allocation): boolean {
  if (pid === holder?.pid || [...mappings.values()].some(mapping => mapping.holder?.pid === pid)) return true
  const uids = [record.uid, ...record.shares.map(share => share.uid)].filter(uid => uid !== 0)
  const uid = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid
  return uid !== undefined && uids.includes(uid)
}

function describe(proof: Extract<Proof, { kind: 'held' }>): string {
  const more = proof.pids.length - pidsToldMax
  const who =
    proof.pids.length > 0
      ? `held by process ${proof.pids.slice(0, pidsToldMax).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
      : 'held by a process that was not found'
  const all = proof.unseen && proof.pids.length > 0 ? `${who}, and maybe others` : who
  return proof.why === undefined ? all : `${all} (${proof.why.slice(0, whyMax)})`
}

/** Where a source can take memory away, what nobody is seen to hold is not worth waiting for. */
function isHeld(proof: Proof, source: Source): boolean {
  return proof.kind === 'held' && (proof.pids.length > 0 || source.cut === undefined)
}

/** A living process has another mapping of it that is not being revoked. */
function isUsedByOthers(allocation: Allocation, mapping: Mapping): boolean {
  return [...allocation.mappings.values()].some(
    other => other !== mapping && other.holder !== undefined && other.record.state === 'held',
  )
}

/** Whether an error only says that now is not the time. */
export function isLater(error: unknown): boolean {
  return error instanceof Refusal && ['Frozen', 'RangeReadOnly'].includes(error.error)
}
