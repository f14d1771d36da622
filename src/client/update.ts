import type { Participant, Update, UpdateOutcome, UpdateReport } from '../../protocol/generated/broker'
import { toBrokerError } from './errors'
import type { Link } from './link'
import type { CallOptions } from './options'
import { mayComeBack } from './watch'

export interface BeginUpdateOptions extends CallOptions {
  /** How long the participants have, in milliseconds; at most an hour. */
  deadlineMs: number
  /** For people, at most 200 bytes. Default: 'live update' */
  reason?: string | undefined
}

/** When a participant went through each step, in milliseconds since the epoch; left out: there was no such step. */
export interface ResumePhases {
  readonly pausedAt?: number | undefined
  readonly savedAt?: number | undefined
  /** Its program started, after the update. */
  readonly startedAt?: number | undefined
  readonly claimedAt?: number | undefined
  readonly loadedAt?: number | undefined
  readonly runningAt: number
}

/** How far an update is. */
export interface UpdateProgress {
  readonly update: Update
  /** Those that have changed since the last item; at first all, in one item or several. */
  readonly participants: Participant[]
  /** Why it was called off. */
  readonly detail: string | undefined
}

/** Several times in updateUnkeptMsMax. */
const keepMs = 2_000

/** See Broker.beginUpdate(). */
export async function* beginUpdate(
  link: Link,
  { deadlineMs, reason, signal }: BeginUpdateOptions,
): AsyncGenerator<UpdateProgress, void> {
  let begun: number | undefined
  let isAsking = false
  const keeping = setInterval(async () => {
    if (begun === undefined || isAsking) return
    isAsking = true
    // What is wrong, the following says too.
    await link.call('KeepUpdate', { update: begun }, signal).catch(() => {})
    isAsking = false
  }, keepMs)
  try {
    for (let failures = 0; ; failures++) {
      try {
        const asked = begun === undefined ? { deadlineMs, reason } : { update: begun }
        for await (const { out } of link.replies('BeginUpdate', asked, signal)) {
          failures = 0
          begun = out.update.id
          yield { ...out, detail: out.detail ?? undefined }
        }
        return
      } catch (error) {
        // Whether it has begun is not known, where the connection broke before the first reply.
        if (begun === undefined || !mayComeBack(error)) throw toBrokerError(error, 'BeginUpdate')
      }
      await link.pause(failures, signal)
    }
  } finally {
    clearInterval(keeping)
  }
}

/** See Broker.update(). */
export async function getUpdate(
  link: Link,
  { signal }: CallOptions,
): Promise<{ update: Update | undefined; participants: Participant[] }> {
  const rows = await link.rows('GetUpdate', {}, signal)
  return { update: rows.at(-1)?.update ?? undefined, participants: participantsOf(rows) }
}

/** See Broker.updateReport(). */
export async function getUpdateReport(
  link: Link,
  { signal }: CallOptions,
): Promise<{ report: UpdateReport | undefined; participants: UpdateOutcome[] }> {
  const rows = await link.rows('GetUpdateReport', {}, signal)
  return { report: rows.at(-1)?.report ?? undefined, participants: participantsOf(rows) }
}

function participantsOf<T>(rows: readonly { participants: T[] }[]): T[] {
  return rows.flatMap(({ participants }) => participants)
}
