import { closeSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../../native'
import { startTimeOf } from '../lease/process'
import type { Proof, Scan } from '../source/source'
import type { Allocation, Mapping } from '../state/allocation'
import type { Range } from '../state/range'
import { scanMs } from '../worker/holder-scan'
import type { RevocationHost, Step } from './revocation'

/** How long the broker waits for a killed process to go; uninterruptible system calls can take a while. */
const killMs = 5000
/** How long it waits for descriptors in flight and for a dead process' last references. Both go within moments. */
const settleMs = 200
/** The kernel releases buffers that a process had registered for I/O some time after the process is gone. */
const passMs = 6000
const waitMsMax = 100

/** Memory, and the uid on whose account the broker asks who reaches it. */
export interface Target {
  id: number
  range: Range
  uid: number
}

/** Asks sources which processes still reach memory. */
export class Prover {
  constructor(private readonly broker: RevocationHost) {}

  /**
   * Asks the kernel first. If the kernel says that nobody reaches the memory, that is all. Else a scan names the processes.
   * Scans have turns by owner; the kernel's answer waits for nobody.
   */
  prove(target: Target, boundMs: number = scanMs.waitedFor): Promise<Proof> {
    return this.ask(target, this.scan(target, boundMs))
  }

  /**
   * Names who has memory open, and proves nothing. Any owner may ask it at any time. So it leaves out what takes time for each
   * page, and stops no digest: while the broker reads the memory, the answer is that there may be others.
   */
  look(target: Target): Promise<Proof> {
    return target.range.source.prove(target.id, this.scan(target, scanMs.waitedFor), false)
  }

  /** Names nobody, so the broker can afford to ask again and again. */
  async isReached(target: Target, taking: boolean): Promise<boolean> {
    return isHeld(await (taking ? this.prove(target) : this.word(target)), taking)
  }

  /** The kernel's answer as a proof. It names nobody where the kernel answers without a scan. */
  word(target: Target): Promise<Proof> {
    return target.range.source.provedByScan ? this.prove(target) : this.ask(target, undefined)
  }

  private ask({ id, range }: Target, scan: Scan | undefined): Promise<Proof> {
    return this.broker.contents.unread(id, () => range.source.prove(id, scan))
  }

  private scan(target: Target, boundMs: number): Scan {
    return file => this.broker.scan.find(target.uid, file, this.concerned(target), boundMs)
  }

  /** The processes that a scan looks at first: holders on record, and connected processes of uids that may have the memory. */
  private concerned({ id, uid }: Target): Set<number> {
    const allocation = this.broker.inventory.byId.get(id)
    const uids = new Set([uid, ...(allocation?.record.shares.map(share => share.uid) ?? [])])
    const pids = new Set(this.broker.inventory.retiredAs(id)?.pids ?? [])
    if (allocation?.holder) pids.add(allocation.holder.pid)
    for (const mapping of allocation?.mappings.values() ?? [])
      if (mapping.holder) pids.add(mapping.holder.pid)
    for (const { peer } of this.broker.sessions) if (uids.has(peer.uid) && peer.pid > 0) pids.add(peer.pid)
    return pids
  }

  /**
   * Like prove, where other processes (rightful) may go on reaching the memory. The kernel's lease can't tell them apart, and
   * the broker does not reuse the memory while they hold it. So the scan, as far as it sees, judges only the process that gives
   * back.
   */
  async proveExcept(
    target: Target,
    rightful: ReadonlySet<number>,
    leaving?: Mapping,
    boundMs?: number,
  ): Promise<Proof> {
    const proof = await this.prove(target, boundMs)
    if (proof.kind === 'gone' || rightful.size === 0) return proof
    const pids = proof.pids.filter(pid => !rightful.has(pid))
    if (pids.length > 0 || proof.pids.length === 0) return { ...proof, pids }
    const pid = leaving && opaqueOf(leaving, rightful, proof.opaque ?? new Set())
    return pid === undefined ? { kind: 'gone' } : { ...proof, pids: pid > 0 ? [pid] : [], why: opaqueReach }
  }

  /** Looks until nobody holds the memory, or until the time for passing holders is over. Returns the last answer. */
  async settle(look: () => Promise<Proof>, taking: boolean): Promise<Proof> {
    const begun = performance.now()
    let proof = await look()
    for (let wait = 5; isHeld(proof, taking); wait = Math.min(2 * wait, waitMsMax)) {
      if (performance.now() - begun >= (isPassing(proof) ? passMs : settleMs)) break
      await sleep(wait)
      proof = await look()
    }
    return proof
  }

  /** Kills the processes that it may kill, and waits until they are gone. True when there were any. */
  async killHolders(pids: readonly number[], allocation: Allocation, tell: Step): Promise<boolean> {
    const killed = await Promise.all(pids.map(pid => this.kill(pid, allocation, tell)))
    return killed.includes(true)
  }

  private async kill(pid: number, allocation: Allocation, tell: Step): Promise<boolean> {
    let pidfd: number
    try {
      pidfd = native.pidfdOpen(pid)
    } catch {
      return false
    }
    try {
      // With the pidfd open, the answer is about this process, not about one that takes its number later.
      if (!mayKill(pid, allocation) || !native.isAlive(pidfd)) return false
      tell(`the deadline has passed: killing process ${pid}`)
      const gone = this.exit(native.dupFd(pidfd))
      native.pidfdSendSignal(pidfd, 9)
      await gone
      return true
    } catch (error) {
      tell(`process ${pid} can't be killed: ${(error as Error).message}`)
      this.broker.log.warn({ err: error, pid }, 'a holder could not be killed')
      return false
    } finally {
      closeSync(pidfd)
    }
  }

  /** Adopts pidfd. */
  private exit(pidfd: number): Promise<void> {
    return new Promise(resolve => {
      const end = () => {
        clearTimeout(timer)
        watch.close()
        resolve()
      }
      const watch = new native.ExitWatch(pidfd, end)
      const timer = setTimeout(end, killMs)
    })
  }
}

/** The processes that may go on reaching the allocation: they hold another mapping of no less access. */
export function rightfulHolders(allocation: Allocation, revoked: Mapping): Set<number> {
  const pids = new Set<number>()
  for (const mapping of allocation.mappings.values())
    if (
      mapping !== revoked &&
      mapping.holder &&
      mapping.state === 'held' &&
      (mapping.record.access === 'readWrite' || revoked.record.access === 'read')
    )
      pids.add(mapping.holder.pid)
  return pids
}

/**
 * The broker kills only a process to which it gave a mapping or the claim itself, or one of the owner, who could kill it too.
 * Anybody can pass a descriptor or a share to any process unasked, also to a daemon that the whole host depends on.
 */
function mayKill(pid: number, { record, holder, mappings }: Allocation): boolean {
  const holders = [holder, ...[...mappings.values()].map(mapping => mapping.holder)]
  const known = holders.find(other => other?.pid === pid)
  if (known && startTimeOf(pid) === known.identity.start) return true
  try {
    const real = Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1])
    return real === record.uid && real !== 0
  } catch {
    return false
  }
}

/** The table keeps the reason, and has little room for it. */
const pidsNamedMax = 8
const whyMax = 500

const opaqueReach =
  "it has an io_uring with files or buffers, or a device like VFIO, or the broker can't look into it, so it may still reach the memory"

/** Returns a process of the side that gives back, which may reach the memory in a way that no scan sees. 0: any process may. */
function opaqueOf(
  { record }: Mapping,
  rightful: ReadonlySet<number>,
  opaque: ReadonlySet<number>,
): number | undefined {
  const isTheirs = (pid: number) =>
    pid === record.holder?.pid || (record.uid !== 0 && uidOf(pid) === record.uid)
  return [...opaque].find(pid => pid === 0 || (!rightful.has(pid) && isTheirs(pid)))
}

function uidOf(pid: number): number | undefined {
  try {
    const [, uid] = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
    return uid === undefined ? undefined : Number(uid)
  } catch {
    return undefined
  }
}

function isPassing(proof: Proof): boolean {
  return proof.kind === 'held' && proof.passing === true
}

export function describe(proof: Extract<Proof, { kind: 'held' }>): string {
  const more = proof.pids.length - pidsNamedMax
  const who =
    proof.pids.length > 0
      ? `held by process ${proof.pids.slice(0, pidsNamedMax).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
      : 'held by a process that was not found'
  const all = proof.unseen && proof.pids.length > 0 ? `${who}, and maybe others` : who
  return proof.why === undefined ? all : `${all} (${proof.why.slice(0, whyMax)})`
}

/** With `take`, the broker does not wait for holders that it cannot see. */
export function isHeld(proof: Proof, taking: boolean): boolean {
  return proof.kind === 'held' && (proof.pids.length > 0 || !taking)
}
