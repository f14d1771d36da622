import type { Event, Mapping as MappingInfo } from '../../protocol/generated/broker'
import { backoffMs } from './backoff'
import type { Holding, RevokeNotice } from './holding'
import type { Link } from './link'
import type { Out } from './reply'

/** Of the time left until a deadline, what the library keeps for unmapping and telling the broker. */
const reserveShare = 0.2
const reserveMsMax = 500
/** A revoke that was asked for while the connection was down carries no deadline: the snapshot only shows that it runs. */
const unknownDeadlineMs = 1_000
const retry = { minDelayMs: 10, maxDelayMs: 1_000 }

export interface NoticeEvents {
  /** The holding is dropped already; the broker is to be told. failures: what its handlers threw. */
  onRevoked(holding: Holding, failures: unknown[]): void
  onLost(holding: Holding): void
}

/**
 * What the broker tells this process about its mappings, over a Watch stream of its own: revoke requests, and, each
 * time the stream begins, which mappings it knows. Opened when the first mapping is about to be made, so that no
 * request can fall between the mapping and the first look.
 */
export class Notices {
  readonly #link: Link
  readonly #events: NoticeEvents
  readonly #held = new Map<number, Holding>()
  /** Requests for mappings whose making was not yet answered when they came. */
  readonly #early = new Map<number, Request>()
  #ready: Promise<void> | undefined
  #failures = 0

  constructor(link: Link, events: NoticeEvents) {
    this.#link = link
    this.#events = events
  }

  get holdings(): Iterable<Holding> {
    return this.#held.values()
  }

  get(id: number): Holding | undefined {
    return this.#held.get(id)
  }

  /** Settles when the stream has told its first state. */
  ready(): Promise<void> {
    if (!this.#ready) this.#begin()
    return this.#ready!
  }

  add(holding: Holding): void {
    this.#held.set(holding.info.id, holding)
    const request = this.#early.get(holding.info.id)
    if (!request) return
    this.#early.delete(holding.info.id)
    void this.#revoke(holding, request)
  }

  remove(holding: Holding): void {
    if (this.#held.get(holding.info.id) === holding) this.#held.delete(holding.info.id)
  }

  #begin(): void {
    let onReady: () => void = () => {}
    let onFailed: (error: unknown) => void = () => {}
    const ready = new Promise<void>((resolve, reject) => {
      onReady = resolve
      onFailed = reject
    })
    // Nobody may be waiting; those who do get the rejection from their own await.
    ready.catch(() => {})
    this.#ready = ready
    const ended = (error?: unknown) => {
      onFailed(error)
      this.#ready = undefined
      if (!this.#link.closed && this.#held.size > 0) this.#beginLater(error === undefined)
    }
    this.#follow(() => {
      this.#failures = 0
      onReady()
    }).then(ended, ended)
  }

  #beginLater(soon: boolean): void {
    const delayMs = soon ? 0 : backoffMs(this.#failures++, retry)
    // The link keeps the process alive where that is wanted.
    setTimeout(() => void (this.#link.closed || this.ready()), delayMs).unref()
  }

  async #follow(onReady: () => void): Promise<void> {
    const judged = [...this.#held.values()]
    const known = new Map<number, MappingInfo>()
    for await (const { out } of this.#link.replies('Watch', { mine: true })) {
      for (const info of out.mappings ?? []) known.set(info.id, info)
      if (out.snapshotEnd) {
        this.#reconcile(judged, known)
        onReady()
      }
      if (out.event) this.#onEvent(out.event)
      // What was missed may have been a revoke request; a new stream begins with the state.
      if (out.missed) return
    }
  }

  #reconcile(judged: Holding[], known: Map<number, MappingInfo>): void {
    for (const holding of judged) {
      if (this.#held.get(holding.info.id) !== holding || holding.state === 'lost') continue
      const info = known.get(holding.info.id)
      if (!info || !sameMapping(info, holding.info)) {
        holding.markLost()
        this.#events.onLost(holding)
      }
    }
    this.#early.clear()
    for (const { id, state } of known.values()) if (state === 'revoking') this.#asked(id, {})
  }

  #onEvent(event: NonNullable<Out<'Watch'>['event']>): void {
    const id = event.mapping
    if (id === undefined || id === null) return
    if (event.kind === 'revoked' || event.kind === 'dormant') this.#early.delete(id)
    if (event.kind === 'revokeRequested') this.#asked(id, event)
  }

  #asked(id: number, request: Request): void {
    const holding = this.#held.get(id)
    if (holding) void this.#revoke(holding, request)
    else this.#early.set(id, request)
  }

  async #revoke(holding: Holding, { deadline, detail }: Request): Promise<void> {
    if (holding.state !== 'held') return
    holding.beginRevoke()
    const failures = await runHandlers(
      holding,
      deadline ?? Date.now() + unknownDeadlineMs,
      detail ?? undefined,
    )
    if (isClosed(holding)) return
    holding.drop()
    this.remove(holding)
    this.#events.onRevoked(holding, failures)
  }
}

/** Of a revokeRequested event; nothing of it is known where only the state 'revoking' was seen. */
type Request = Pick<Event, 'deadline' | 'detail'>

/** A function, because the compiler does not know that a state changes while handlers run. */
function isClosed(holding: Holding): boolean {
  return holding.state === 'closed'
}

/** Ids start anew in a range whose table did not survive, so the id alone proves nothing. */
function sameMapping(a: MappingInfo, b: MappingInfo): boolean {
  return a.id === b.id && a.allocation === b.allocation && a.offset === b.offset && a.length === b.length
}

/** All at once; what they threw. Those that are not done shortly before the deadline are not waited for. */
async function runHandlers(
  holding: Holding,
  deadline: number,
  detail: string | undefined,
): Promise<unknown[]> {
  const leftMs = Math.max(0, deadline - Date.now())
  const timeMs = leftMs - Math.min(leftMs * reserveShare, reserveMsMax)
  const timeout = new AbortController()
  const notice: RevokeNotice = { detail, deadline, signal: timeout.signal }
  const failures: unknown[] = []
  const running = [...holding.handlers].map(async handler => {
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
      failures.push(
        new Error(`a revoke handler of mapping ${holding.info.id} was not done before the deadline`),
      )
      resolve()
    }, timeMs)
  })
  await Promise.race([Promise.all(running), late])
  clearTimeout(timer)
  return failures
}
