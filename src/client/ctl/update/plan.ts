import { participantPhases } from '../../../../protocol/update-phases'
import { describeKernel, type KernelImage, loadedLine } from '../host/kernel-image'
import { describeCheck, type NextKernelCheck } from '../host/next-kernel'
import { count, fields, size, table } from '../table'
import { seconds } from './lines'
import type { LastUpdate } from './report'
import type { Risk, Survey } from './survey'

interface Plan extends Survey {
  readonly check: NextKernelCheck
  /** undefined: none is named. */
  readonly kernel: KernelImage | undefined
  readonly last: Omit<LastUpdate, 'present'>
}

const namesMax = 8

/** What an update would do now, by the last one's times. */
export function planData({ check, kernel, participants, bytes, risks, last }: Plan) {
  return {
    check,
    kernel: kernel ? { image: kernel.image, initrd: kernel.initrd ?? null } : null,
    participants: participants.map(({ name, uid, pid }, index) => ({
      ...{ name, uid, pid, bytes: bytes[index] ?? 0 },
      lastSaveMs: before(last, uid, name)?.save ?? null,
      lastDowntimeMs: before(last, uid, name)?.downtime ?? null,
    })),
    risks,
    estimateMs: estimate(last),
  }
}

export function planText(plan: Plan): string {
  const { participants, risks, estimateMs } = planData(plan)
  const rows =
    participants.length === 0
      ? 'Nobody would be asked to save.'
      : table(participants, [
          { title: 'PARTICIPANT', cell: row => row.name },
          { title: 'UID', cell: row => count(row.uid), right: true },
          { title: 'PID', cell: row => count(row.pid), right: true },
          { title: 'MEMORY', cell: row => size(row.bytes), right: true },
          {
            title: 'LAST SAVE',
            cell: row => (row.lastSaveMs === null ? '-' : seconds(row.lastSaveMs)),
            right: true,
          },
          {
            title: 'LAST DOWNTIME',
            cell: row => (row.lastDowntimeMs === null ? '-' : seconds(row.lastDowntimeMs)),
            right: true,
          },
        ])
  const conclusion =
    risks.length > 0
      ? `An update would be refused: ${risksText(risks)}.`
      : estimateMs === null
        ? 'Nothing speaks against an update. No update before tells how long it takes.'
        : `Nothing speaks against an update. The last one took ${seconds(estimateMs)}, from its begin to the last participant.`
  const { check, kernel } = plan
  const loaded = kernel ? ['', fields(describeKernel(kernel, loadedLine(check.commandLine)))] : []
  return [...describeCheck(check), ...loaded, '', rows, '', conclusion].join('\n')
}

const ends = {
  memoryEnds: 'which does not outlive the kernel',
  endsWithService:
    "which ends when the service manager stops the broker; with --go 'kexec -e' it stops nothing",
  notPreserved: 'and the kernel does not preserve it: the log of the broker says why',
}

/** 'vm-b/ram (pid 4711, uid 1000) takes no part in updates; tmp (uid 0) is in range main, which does not outlive the kernel' */
export function risksText(risks: readonly Risk[]): string {
  const named = risks.slice(0, namesMax).map(({ kind, allocation, uid, pid, range, why }) => {
    if (kind === 'unreadable')
      return `the broker can't read range ${range} (${why}), so nobody knows whose memory it has: bring it back, or write --ignore range:${range}`
    const who = `${allocation} (${pid === null ? '' : `pid ${pid}, `}uid ${uid})`
    return kind === 'takesNoPart'
      ? `the process of ${who} takes no part`
      : `${who} is in range ${range}, ${ends[kind]}`
  })
  const more = risks.length - namesMax
  const whys = new Set(risks.flatMap(({ kind, why }) => (kind === 'endsWithService' ? [why!] : [])))
  return [
    ...named,
    ...(more > 0 ? [`${more} more`] : []),
    ...whys,
    '--ignore lets names lose what they have',
  ].join('; ')
}

function before({ participants }: Plan['last'], uid: number, name: string) {
  const found = participants.find(one => one.uid === uid && one.name === name)
  return found && participantPhases(found)
}

/** From the begin to the last participant that runs again. */
function estimate({ report, participants }: Plan['last']): number | null {
  if (report?.outcome !== 'replaced') return null
  const last = participants.reduce(
    (most, { runningAt }) => Math.max(most, runningAt ?? 0),
    report.servingAt ?? 0,
  )
  return last === 0 ? null : Math.max(0, last - report.begunAt)
}
