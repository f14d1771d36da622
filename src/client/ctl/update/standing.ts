import { closeSync } from 'node:fs'
import { native } from '../../../../native'
import { participantsPerStart } from '../../../../protocol/wire/limits'
import type { Participant, Update } from '../../index'
import type { Ignored } from './ignored'

/** Whether the leading program goes on, from what the broker has said. */
type Decision =
  | { readonly kind: 'wait' }
  | { readonly kind: 'go'; readonly anyway: boolean }
  | { readonly kind: 'callOff'; readonly why: string }

const namesMax = 8

/** The participants that the broker has named, over its restarts and theirs. */
export class Standing {
  /** None leaves its place. */
  private readonly rows: Participant[] = []
  update: Update | undefined

  constructor(private readonly ignored: Ignored) {}

  /** Each at its place, from the first time on that the broker named it. */
  get participants(): readonly Participant[] {
    return this.rows
  }

  note(update: Update, participants: readonly Participant[]): void {
    this.update = update
    for (const row of participants) {
      const place = this.placeOf(row)
      this.rows[place < 0 ? this.rows.length : place] = row
    }
  }

  /** A restarted broker gives a new number; a restarted participant has a new pid. One process may have several of one name. */
  private placeOf({ id, uid, pid, name }: Participant): number {
    const known = this.rows.findIndex(row => row.id === id)
    if (known >= 0) return known
    return this.rows.findIndex(
      row => row.uid === uid && row.pid === pid && row.name === name && startOf(row.id) !== startOf(id),
    )
  }

  /** isOverdue: the deadline is over, also for participants that never came back. */
  decide(isOverdue: boolean): Decision {
    const { update } = this
    if (!update) return { kind: 'wait' }
    const asked = this.participants.filter(({ waitedFor }) => waitedFor)
    const missing = asked.filter(({ state }) => state !== 'ready')
    const needed = missing.filter(one => !this.ignored.has(one, asked))
    const failed = needed.filter(({ state }) => state === 'failed' || state === 'left')
    if (failed.length > 0) return { kind: 'callOff', why: sentence(failed) }
    if (needed.length > 0) {
      const isLate = isOverdue || needed.some(({ state }) => state === 'late')
      return isLate ? { kind: 'callOff', why: sentence(needed) } : { kind: 'wait' }
    }
    if (update.state === 'ready') return { kind: 'go', anyway: false }
    return missing.length > 0 ? { kind: 'go', anyway: true } : { kind: 'wait' }
  }

  /** Those whose memory is no surprise, though they may have ended: they have saved, or may lose what they have not saved. */
  get known(): Participant[] {
    const asked = this.participants.filter(({ waitedFor }) => waitedFor)
    return asked.filter(one => one.state === 'ready' || this.ignored.has(one, asked))
  }

  /** Those that failed, and whose guests did not go on. */
  get paused(): string[] {
    return this.participants.filter(({ staysPaused }) => staysPaused === true).map(({ name }) => name)
  }

  /** Those that may still find that they can't go on, and then nobody hears of it. */
  get unanswered(): string[] {
    return this.participants
      .filter(({ state, waitedFor }) => waitedFor && (state === 'asked' || state === 'late'))
      .map(({ name }) => name)
  }

  /**
   * Why it can't go on: who was ready with a broker before this one, has not come back and has not ended may run again.
   * present: those that the broker has now.
   */
  whyAway(present: readonly Participant[]): string | undefined {
    // One that this broker has known itself is not away: it has left.
    const starts = new Set(present.map(({ id }) => startOf(id)))
    const asked = this.participants.filter(({ waitedFor }) => waitedFor)
    const away = asked.filter(
      one =>
        one.state === 'ready' &&
        !starts.has(startOf(one.id)) &&
        isAlive(one.pid) &&
        !this.ignored.has(one, asked),
    )
    return away.length === 0 ? undefined : sentence(away)
  }

  /** Those that are not there to go on: they were ready, and ended. */
  gone(present: readonly Participant[]): string[] {
    const names = new Set(present.map(({ uid, name }) => `${uid} ${name}`))
    return this.participants
      .filter(
        ({ state, waitedFor, uid, name }) => waitedFor && state === 'ready' && !names.has(`${uid} ${name}`),
      )
      .map(({ name }) => name)
  }
}

/** One that has ended does not live because its parent has not asked for it yet. */
function isAlive(pid: number): boolean {
  try {
    const pidfd = native.pidfdOpen(pid)
    try {
      return native.isAlive(pidfd)
    } finally {
      closeSync(pidfd)
    }
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** The start of a broker that gave this number. */
function startOf(id: number): number {
  return Math.floor(id / participantsPerStart)
}

/** 'vm-a failed: the disk is full; vm-b (pid 4711, uid 1000) is late' */
function sentence(participants: readonly Participant[]): string {
  const named = participants.slice(0, namesMax).map(({ name, pid, uid, state, detail }) => {
    const who = `${name} (pid ${pid}, uid ${uid})`
    if (state === 'failed') return `${who} failed: ${detail ?? 'without a reason'}`
    if (state === 'ready') return `${who} was ready before the broker restarted, and has not come back`
    return state === 'left' ? `${who} left` : `${who} is late`
  })
  const more = participants.length - namesMax
  return [...named, ...(more > 0 ? [`${more} more`] : [])].join('; ')
}
