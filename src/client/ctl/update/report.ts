import type { UpdateOutcome, UpdateReport } from '../../index'
import { fields, table, time } from '../table'
import { seconds } from './lines'

export interface LastUpdate {
  readonly report: UpdateReport | undefined
  readonly participants: readonly UpdateOutcome[]
}

/** A step of the host or of a participant; null: it is not known, or there was none. */
export type Phases<Name extends string> = Record<Name, number | null>

const between = (from: number | null | undefined, to: number | null | undefined) =>
  typeof from === 'number' && typeof to === 'number' ? Math.max(0, to - from) : null

/** Of the host. ours: from the begin to the go, and from the broker's start to its first answer. */
export function hostPhases(report: UpdateReport) {
  const { begunAt, readyAt, frozenAt, proceededAt, kernelAt, brokerAt, servingAt } = report
  return {
    saveMs: between(begunAt, readyAt),
    freezeMs: between(readyAt ?? frozenAt, proceededAt),
    stopMs: between(proceededAt, kernelAt),
    bootMs: between(kernelAt, brokerAt),
    brokerMs: between(brokerAt, servingAt),
    totalMs: between(begunAt, servingAt),
  }
}

/** Of a participant. waitMs: until the others are saved, the kernel is replaced, and its program starts. */
export function participantPhases(one: UpdateOutcome) {
  const { pausedAt, savedAt, startedAt, claimedAt, loadedAt, runningAt } = one
  return {
    downtimeMs: between(pausedAt, runningAt),
    saveMs: between(pausedAt, savedAt),
    waitMs: between(savedAt, startedAt),
    claimMs: between(startedAt, claimedAt),
    loadMs: between(claimedAt, loadedAt),
    runMs: between(loadedAt ?? claimedAt ?? startedAt ?? savedAt, runningAt),
  }
}

/** The part of the longest downtime that this software took: all but the kernel's stop and boot. */
export function ourShare({ report, participants }: LastUpdate): { ourMs: number; downtimeMs: number } | null {
  const longest = participants
    .map(one => between(one.pausedAt, one.runningAt))
    .reduce<number | null>((most, ms) => (ms === null ? most : Math.max(most ?? 0, ms)), null)
  if (!report || longest === null) return null
  const { stopMs, bootMs } = hostPhases(report)
  return { downtimeMs: longest, ourMs: Math.max(0, longest - (stopMs ?? 0) - (bootMs ?? 0)) }
}

export function missing({ report, participants }: LastUpdate): UpdateOutcome[] {
  if (!report || report.outcome === 'underWay') return []
  return participants.filter(({ runningAt }) => typeof runningAt !== 'number')
}

export function reportData(last: LastUpdate) {
  const { report, participants } = last
  return {
    report: report ?? null,
    phases: report ? hostPhases(report) : null,
    participants: participants.map(one => ({ ...one, ...participantPhases(one) })),
    longest: ourShare(last),
    notBack: missing(last).map(({ name, uid }) => ({ name, uid })),
  }
}

export function reportText(last: LastUpdate): string {
  const { report, participants } = last
  if (!report) return 'there was no update'
  const phases = hostPhases(report)
  const share = ourShare(last)
  const absent = missing(last)
  const show = (ms: number | null) => (ms === null ? undefined : seconds(ms))
  const head = fields([
    ['update', `${report.id}: ${report.reason}`],
    ['outcome', outcomeOf(report)],
    ['begun', `${time(report.begunAt)} by uid ${report.uid}`],
    ['ready', `${report.ready} of ${report.participants} participants${counted(report)}`],
    ['save', show(phases.saveMs)],
    ['freeze', show(phases.freezeMs)],
    ['stop', show(phases.stopMs)],
    ['boot', show(phases.bootMs)],
    ['broker', show(phases.brokerMs)],
    [
      'longest',
      share
        ? `${seconds(share.downtimeMs)}, of which ${seconds(share.ourMs)} (${percent(share.ourMs, share.downtimeMs)} %) are not the kernel's`
        : undefined,
    ],
    ['not back', absent.length > 0 ? names(absent) : undefined],
  ])
  return participants.length === 0 ? head : `${head}\n\n${rows(participants)}`
}

function outcomeOf({ outcome, detail, proceededAt }: UpdateReport): string {
  if (outcome === 'cancelled') return `called off: ${detail ?? ''}`
  if (outcome === 'underWay') return 'under way'
  return typeof proceededAt === 'number'
    ? 'the kernel was replaced'
    : 'the kernel was replaced before the update proceeded'
}

const counted = ({ listed, participants, outcome }: UpdateReport) =>
  outcome !== 'underWay' && listed < participants ? `; the table had room for ${listed}` : ''

const percent = (part: number, whole: number) => (whole === 0 ? 0 : Math.round((100 * part) / whole))

function names(participants: readonly UpdateOutcome[]): string {
  const shown = participants.slice(0, 8).map(({ name }) => name)
  const more = participants.length - shown.length
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function rows(participants: readonly UpdateOutcome[]): string {
  const all = participants.map(one => ({ ...one, ...participantPhases(one) }))
  const column = (title: string, key: keyof ReturnType<typeof participantPhases>) => ({
    title,
    right: true,
    cell: (row: (typeof all)[number]) => (row[key] === null ? '-' : seconds(row[key])),
  })
  return table(all, [
    { title: 'PARTICIPANT', cell: row => row.name },
    {
      title: 'STATE',
      cell: row => row.state,
      color: row => (row.state === 'ready' ? undefined : 'yellow'),
    },
    column('DOWNTIME', 'downtimeMs'),
    column('SAVE', 'saveMs'),
    column('WAIT', 'waitMs'),
    column('CLAIM', 'claimMs'),
    column('LOAD', 'loadMs'),
    column('RUN', 'runMs'),
    { title: 'DETAIL', cell: row => row.detail ?? '' },
  ])
}
