import type { Event, Mapping as MappingInfo } from '../../protocol/generated/broker'
import { ConnectionLost } from '../../protocol/wire/caller'
import { backoffMs } from './backoff'
import type { HeldMapping, RevokeNotice } from './held-mapping'
import type { Link } from './link'
import type { Out } from './reply'

/** The part of the time before a deadline that the library keeps for unmapping and for its answer to the broker. */
const reserveShare = 0.2
const reserveMsMax = 500
/** A revoke that began while the connection was down has no deadline: the snapshot only shows that it runs. */
const unknownDeadlineMs = 1_000
const retry = { minDelayMs: 10, maxDelayMs: 1_000 }

interface RevokeEvents {
  /** The library has dropped the mapping; the broker needs the answer. failures: the errors of its handlers. */
  onRevoked(held: HeldMapping, failures: unknown[]): void
  onLost(held: HeldMapping): void
}

/**
 * The broker's notices about this process' mappings, over a Watch stream of its own: revoke requests, and, at each
 * beginning of the stream, the mappings that it knows. The library opens it before the first mapping, so that no
 * request falls between the mapping and the snapshot.
 */
export class RevokeListener {
  private readonly link: Link
  private readonly events: RevokeEvents
  private readonly held = new Map<number, HeldMapping>()
  /** Requests for mappings whose making was not yet answered when they came. */
  private readonly early = new Map<number, Request>()
  private readiness: Promise<void> | undefined
  private failures = 0

  constructor(link: Link, events: RevokeEvents) {
    this.link = link
    this.events = events
  }

  get heldMappings(): Iterable<HeldMapping> {
    return this.held.values()
  }

  get(id: number): HeldMapping | undefined {
    return this.held.get(id)
  }

  /** Whether this connection has that very mapping, with its descriptor. */
  has(info: MappingInfo): boolean {
    const held = this.held.get(info.id)
    return held?.isOpen === true && held.state !== 'lost' && sameMapping(held.info, info)
  }

  /**
   * Settles when the stream has told its first state. A broker that restarts before that is asked again.
   * @throws BrokerError BrokerUnreachable, ConnectionLost, Closed, ...
   */
  ready(): Promise<void> {
    this.readiness ??= this.begin()
    return this.readiness
  }

  add(held: HeldMapping): void {
    this.held.set(held.info.id, held)
    // A stream that ended before there was a mapping to listen for.
    if (!this.link.closed) this.ready()
    const request = this.early.get(held.info.id)
    if (!request) return
    this.early.delete(held.info.id)
    void this.revoke(held, request)
  }

  remove(held: HeldMapping): void {
    if (this.held.get(held.info.id) === held) this.held.delete(held.info.id)
  }

  private begin(): Promise<void> {
    const ready = this.link.persist('Watch', 'read', undefined, giveUpAt => this.open(giveUpAt))
    // Perhaps nobody waits; a waiter gets the rejection from its own await.
    ready.catch(error => this.ended(error))
    return ready
  }

  /** A stream that has told its first state; it goes on. */
  private open(giveUpAt: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let isOpen = false
      const ended = (error?: unknown) => {
        if (isOpen) this.ended(error)
        else reject(error ?? new ConnectionLost(undefined))
      }
      const onOpen = () => {
        isOpen = true
        this.failures = 0
        resolve()
      }
      this.follow(giveUpAt, onOpen).then(ended, ended)
    })
  }

  private ended(error: unknown): void {
    this.readiness = undefined
    if (!this.link.closed && this.held.size > 0) this.beginLater(error === undefined)
  }

  private beginLater(soon: boolean): void {
    const delayMs = soon ? 0 : backoffMs(this.failures++, retry)
    // The link keeps the process alive where that is wanted.
    setTimeout(() => void (this.link.closed || this.ready()), delayMs).unref()
  }

  private async follow(giveUpAt: number, onOpen: () => void): Promise<void> {
    const judged = [...this.held.values()]
    const known = new Map<number, MappingInfo>()
    for await (const { out } of this.link.replies('Watch', { mine: true }, undefined, giveUpAt)) {
      for (const info of out.mappings ?? []) known.set(info.id, info)
      if (out.snapshotEnd) {
        this.reconcile(judged, known)
        onOpen()
      }
      if (out.event) this.onEvent(out.event)
      // A missed event may be a revoke request; a new stream begins with the state.
      if (out.missed) return
    }
  }

  private reconcile(judged: HeldMapping[], known: Map<number, MappingInfo>): void {
    for (const held of judged) {
      if (this.held.get(held.info.id) !== held || held.state === 'lost') continue
      const info = known.get(held.info.id)
      if (!info || !sameMapping(info, held.info)) {
        held.markLost()
        this.events.onLost(held)
      }
    }
    this.early.clear()
    for (const { id, state } of known.values()) if (state === 'revoking') this.asked(id, requestOf({}))
  }

  private onEvent(event: NonNullable<Out<'Watch'>['event']>): void {
    const id = event.mapping
    if (id === undefined || id === null) return
    if (event.kind === 'revoked' || event.kind === 'dormant') this.early.delete(id)
    if (event.kind === 'revokeRequested') this.asked(id, requestOf(event))
  }

  private asked(id: number, request: Request): void {
    const held = this.held.get(id)
    if (held) void this.revoke(held, request)
    else this.early.set(id, request)
  }

  private async revoke(held: HeldMapping, request: Request): Promise<void> {
    if (held.state !== 'held') return
    held.beginRevoke()
    const failures = await runHandlers(held, request)
    if (isClosed(held)) return
    held.drop()
    this.remove(held)
    this.events.onRevoked(held, failures)
  }
}

/** deadline: the time of day that the event has; endsAtMs: the same by this process' monotonic clock, as of when it came. */
interface Request {
  readonly deadline: number
  readonly endsAtMs: number
  readonly detail: string | undefined
}

/** Of a revokeRequested event; unknown if the library only saw the state 'revoking'. */
function requestOf({ deadline, detail }: Pick<Event, 'deadline' | 'detail'>): Request {
  const at = deadline ?? Date.now() + unknownDeadlineMs
  return {
    deadline: at,
    endsAtMs: performance.now() + Math.max(0, at - Date.now()),
    detail: detail ?? undefined,
  }
}

/** A function, because the compiler does not know that a state changes while handlers run. */
function isClosed(held: HeldMapping): boolean {
  return held.state === 'closed'
}

/** Ids start anew in a range whose table did not survive, so the id alone proves nothing. */
function sameMapping(a: MappingInfo, b: MappingInfo): boolean {
  return a.id === b.id && a.allocation === b.allocation && a.offset === b.offset && a.length === b.length
}

/**
 * Runs all at once and returns their errors. It does not wait for handlers that run until shortly before the
 * deadline.
 */
async function runHandlers(held: HeldMapping, { deadline, endsAtMs, detail }: Request): Promise<unknown[]> {
  const leftMs = Math.max(0, endsAtMs - performance.now())
  const timeMs = leftMs - Math.min(leftMs * reserveShare, reserveMsMax)
  const timeout = new AbortController()
  const notice: RevokeNotice = { detail, deadline, signal: timeout.signal }
  const failures: unknown[] = []
  const running = [...held.handlers].map(async handler => {
    try {
      await handler(notice)
    } catch (error) {
      failures.push(error)
    }
  })
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>(resolve => {
    timer = setTimeout(() => {
      timeout.abort()
      failures.push(new Error(`a revoke handler of mapping ${held.info.id} was not done before the deadline`))
      resolve()
    }, timeMs)
  })
  await Promise.race([Promise.all(running), late])
  clearTimeout(timer)
  return failures
}
