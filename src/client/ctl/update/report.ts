import { hostPhases, longestDowntime, participantPhases } from '../../../../protocol/update-phases'
import type { Participant, UpdateOutcome, UpdateReport } from '../../index'
import { fields, table, time } from '../table'
import { seconds } from './lines'

export interface LastUpdate {
  readonly report: UpdateReport | undefined
  readonly participants: readonly UpdateOutcome[]
  /** Those that take part in updates now. */
  readonly present: readonly Pick<Participant, 'uid' | 'name'>[]
}

/** Those that neither say so nor take part by now. A program that takes part need not report. */
function missing({ report, participants, present }: LastUpdate): UpdateOutcome[] {
  if (!report || report.outcome === 'underWay') return []
  const there = new Set(present.map(({ uid, name }) => `${uid} ${name}`))
  return participants.filter(
    ({ uid, name, runningAt }) => typeof runningAt !== 'number' && !there.has(`${uid} ${name}`),
  )
}

export function reportData(last: LastUpdate) {
  const { report, participants } = last
  const longest = report && longestDowntime(report, participants)
  return {
    report: report ?? null,
    phases: report ? inMs(hostPhases(report)) : null,
    participants: participants.map(one => ({ ...one, ...inMs(participantPhases(one)) })),
    longest: longest ? inMs(longest) : null,
    notBack: missing(last).map(({ name, uid }) => ({ name, uid })),
  }
}

/** { save: 200 } as { saveMs: 200 }; null: not known. */
function inMs(phases: Record<string, number | undefined>): Record<string, number | null> {
  return Object.fromEntries(Object.entries(phases).map(([name, ms]) => [`${name}Ms`, ms ?? null]))
}

export function reportText(last: LastUpdate): string {
  const { report, participants } = last
  if (!report) return 'there was no update'
  const phases = hostPhases(report)
  const longest = longestDowntime(report, participants)
  const absent = missing(last)
  const show = (ms: number | undefined) => (ms === undefined ? undefined : seconds(ms))
  const head = fields([
    ['update', `${report.id}: ${report.reason}`],
    ['outcome', outcomeOf(report)],
    ['begun', `${time(report.begunAt)} by uid ${report.uid}`],
    ['ready', `${report.ready} of ${report.participants} participants${counted(report)}`],
    ['save', show(phases.save)],
    ['freeze', show(phases.freeze)],
    ['stop', show(phases.stop)],
    ['boot', show(phases.boot)],
    ['broker', show(phases.broker)],
    [
      'longest',
      longest
        ? `${seconds(longest.downtime)}, of which ${seconds(longest.ours)} (${percent(longest.ours, longest.downtime)} %) are not the kernel's`
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
    cell: (row: (typeof all)[number]) => (row[key] === undefined ? '-' : seconds(row[key])),
  })
  return table(all, [
    { title: 'PARTICIPANT', cell: row => row.name },
    {
      title: 'STATE',
      cell: row => row.state,
      color: row => (row.state === 'ready' ? undefined : 'yellow'),
    },
    column('DOWNTIME', 'downtime'),
    column('SAVE', 'save'),
    column('WAIT', 'wait'),
    column('CLAIM', 'claim'),
    column('LOAD', 'load'),
    column('RUN', 'run'),
    { title: 'DETAIL', cell: row => row.detail ?? '' },
  ])
}
