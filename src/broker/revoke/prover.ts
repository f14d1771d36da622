import { closeSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../../native'
import { startTimeOf } from '../lease/process'
import type { Proof, Scan } from '../source/source'
import type { Allocation, Mapping } from '../state/allocation'
import type { Range } from '../state/range'
import { scanMs } from '../worker/holder-scan'
import type { Step } from './revocation'
import type { RevocationHost } from './revocation-host'

/** A killed process is given this long to be gone; uninterruptible system calls can take a while. */
const killMs = 5000
/** Descriptors on their way through a socket, and a dead process' last references, are gone within moments. */
const settleMs = 200
/** The kernel lets go of what a process had given it for I/O some time after the process is gone. */
const passMs = 6000
const waitMsMax = 100
/** Memory of which it is asked who reaches it. uid: on whose account the question is. */
export interface Target {
  id: number
  range: Range
  uid: number
}

/** Asks sources who still reaches memory. */
export class Prover {
  constructor(private readonly broker: RevocationHost) {}

  /**
   * What the kernel says by itself, and only where it does not say that nobody reaches the memory, or can't, a scan that
   * names who does: scans have their turns by owner, the kernel's own word waits for nobody.
   */
  prove(target: Target, boundMs: number = scanMs.waitedFor): Promise<Proof> {
    return this.ask(target, file => this.broker.scan.find(target.uid, file, this.concerned(target), boundMs))
  }

  /** Without naming anybody, so cheap enough to be asked again and again. */
  async isReached(target: Target, taking: boolean): Promise<boolean> {
    return isHeld(await (taking ? this.prove(target) : this.word(target)), taking)
  }

  /** The same as a proof: nobody is named where the kernel says by itself whether anybody reaches it. */
  word(target: Target): Promise<Proof> {
    return target.range.source.provedByScan ? this.prove(target) : this.ask(target, undefined)
  }

  private ask({ id, range }: Target, scan: Scan | undefined): Promise<Proof> {
    return this.broker.contents.unread(id, () => range.source.prove(id, scan))
  }

  /** Those on record, and the connected processes of those who may have it: looked at first. */
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
   * The same, where others rightly go on reaching it. The kernel's lease can't tell them apart; the memory is not
   * reused while they do, only the reach of one who says that it has let go is judged: by the scan, as far as it sees.
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

  /** The first answer that is good, or the last one when it stays bad for as long as such things may take. */
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

  /** Ends those of the processes that may be, and waits until they are gone. True when there were any. */
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
      // Asked with the pidfd in hand: it is of that process, not of one that takes its number later.
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

/** Processes that may go on reaching the allocation, because they hold another mapping of no less access. */
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
 * Only a process that the broker itself gave a mapping or the claim, or that runs as the owner, who could kill it too. A
 * descriptor, like a share, can be given to anybody unasked, also to a daemon the whole host depends on.
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

/** Kept in the table, which has little room for it. */
const pidsNamedMax = 8
const whyMax = 500

const opaqueReach =
  "it has an io_uring with files or buffers, or a device like VFIO, or the broker can't look into it, so it may still reach the memory"

/** A process of who gives a mapping back that may still have the memory in a way that is not seen; 0: anybody may. */
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

/** Where memory is to be taken away, what nobody is seen to hold is not worth waiting for. */
export function isHeld(proof: Proof, taking: boolean): boolean {
  return proof.kind === 'held' && (proof.pids.length > 0 || !taking)
}
