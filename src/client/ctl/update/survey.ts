import { sourceOf } from '../../../../protocol/source'
import type { Broker, Participant, Range } from '../../index'
import { isAway } from '../away'
import { unless } from '../unless'

/** Memory whose state an update would lose, or the memory itself. */
export interface Risk {
  readonly kind: 'takesNoPart' | 'memoryEnds' | 'endsWithService' | 'notPreserved' | 'unreadable'
  /** null, like the uid: whatever a range has that the broker can't read. */
  readonly allocation: string | null
  readonly uid: number | null
  /** The process that holds or maps it; null: nobody does now. */
  readonly pid: number | null
  readonly range: string
  /** A sentence. */
  readonly why?: string
}

export interface Survey {
  /** Those that an update waits for. */
  readonly participants: readonly Participant[]
  /** Bytes of the allocations of each participant, in their order. */
  readonly bytes: readonly number[]
  readonly risks: readonly Risk[]
  /** Ranges with nothing that the kernel preserves for the next one. */
  readonly withoutPreserved: ReadonlySet<string>
}

export type StopLoses = () => Promise<string | undefined>

/**
 * Which memory nobody answers for: a process takes part itself, or a participant of its uid does whose name is the
 * allocation's, or what stands before a slash in it.
 * stopLoses: why memory that only the service manager keeps ends when that stops the broker; undefined: it does not. Absent:
 * nothing stops the broker.
 * known: participants that may have ended: they have saved, or may lose what they have not saved.
 */
export async function surveyHost(
  broker: Broker,
  stopLoses: StopLoses | undefined,
  signal: AbortSignal,
  known: readonly Participant[] = [],
): Promise<Survey> {
  const { participants: all } = await broker.update({ signal })
  const participants = [...all, ...known].filter(({ waitedFor }) => waitedFor)
  const ranges = await broker.ranges({ signal })
  const isStored = ranges.some(({ source }) => sourceOf(source)?.endsWithService)
  const whyEnds = isStored ? await stopLoses?.() : undefined
  /** All that does not itself say that it survives. */
  const ending = new Set<string>()
  const stopped = new Set<string>()
  const preserved = new Set<string>()
  for (const { name, source, capabilities } of ranges) {
    if (!capabilities.survivesKexec && !capabilities.freezePreserves) ending.add(name)
    if (whyEnds && sourceOf(source)?.endsWithService) stopped.add(name)
  }
  const pids = new Map(participants.map((participant, index) => [participant.pid, index]))
  const names = new Map(participants.map(({ uid, name }, index) => [`${uid} ${name}`, index]))
  const bytes = participants.map(() => 0)
  const risks = ranges.filter(isAway).map(awayRisk)
  for await (const listed of broker.list({ signal })) {
    const { name: allocation, uid, range, bytes: size, holderPid, mappings, shares, survivesKexec } = listed
    const risk = (kind: Risk['kind'], pid: number | null) =>
      risks.push({
        ...{ kind, allocation, uid, pid, range },
        ...(kind === 'endsWithService' && whyEnds && { why: whyEnds }),
      })
    const named =
      names.get(`${uid} ${allocation}`) ??
      prefixesOf(allocation)
        .map(name => names.get(`${uid} ${name}`))
        .find(index => index !== undefined)
    const index = named ?? pids.get(holderPid ?? 0)
    if (index !== undefined) bytes[index]! += size
    if (survivesKexec || !ending.has(range)) preserved.add(range)
    const end =
      ending.has(range) && !survivesKexec ? 'memoryEnds' : stopped.has(range) ? 'endsWithService' : undefined
    if (end !== undefined) risk(end, holderPid ?? null)
    else if (typeof holderPid === 'number' && index === undefined) risk('takesNoPart', holderPid)
    if (named !== undefined || mappings === 0 || (typeof holderPid === 'number' && shares.length === 0))
      continue
    // Others than the holder may map it.
    const found = await unless('NotFound', broker.get(allocation, { signal }))
    for (const { state, pid } of found?.mappings ?? [])
      if (
        state === 'held' &&
        typeof pid === 'number' &&
        pid !== holderPid &&
        !pids.has(pid) &&
        end === undefined
      )
        risk('takesNoPart', pid)
  }
  const without = ranges.filter(({ name, state }) => state === 'online' && !preserved.has(name))
  return { participants, bytes, risks, withoutPreserved: new Set(without.map(({ name }) => name)) }
}

/**
 * What is at risk when the broker is frozen and nobody can claim or take memory any more: whatever came or left since the
 * survey before, and what the freeze has not made to outlive the kernel, of ranges that it preserves.
 */
export async function surveyFrozen(
  broker: Broker,
  stopLoses: StopLoses | undefined,
  known: readonly Participant[],
  signal: AbortSignal,
): Promise<Pick<Survey, 'risks' | 'withoutPreserved'>> {
  const { risks, withoutPreserved } = await surveyHost(broker, stopLoses, signal, known)
  return { risks: [...risks, ...(await notPreserved(broker, signal))], withoutPreserved }
}

/** What the frozen broker has not made to outlive the kernel, of ranges that a freeze preserves. */
async function notPreserved(broker: Broker, signal: AbortSignal): Promise<Risk[]> {
  const ranges = await broker.ranges({ signal })
  const incomplete = new Set(
    ranges
      .filter(({ capabilities: { freezePreserves, survivesKexec } }) => freezePreserves && !survivesKexec)
      .map(({ name }) => name),
  )
  const risks: Risk[] = []
  if (incomplete.size === 0) return risks
  for await (const { name: allocation, uid, range, holderPid, survivesKexec } of broker.list({ signal }))
    if (incomplete.has(range) && !survivesKexec)
      risks.push({ kind: 'notPreserved', allocation, uid, pid: holderPid ?? null, range })
  return risks
}

/** Its guests may run on, and the broker knows nothing of them. */
function awayRisk({ name: range, reason }: Range): Risk {
  const who = { allocation: null, uid: null, pid: null }
  return { kind: 'unreadable', ...who, range, why: reason ?? 'without a reason' }
}

/** 'a' and 'a/b' of 'a/b/c'. */
function prefixesOf(name: string): string[] {
  const parts = name.split('/')
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'))
}
