import { existsSync } from 'node:fs'
import path from 'node:path'
import type { AllocationInfo, Range } from '../../index'
import { whereAway } from '../away'
import { askRunner } from './control'
import { recordFrom, VmPlaces, type VmRecord } from './places'
import { readVmFile, type VmSettings, vmNames } from './settings'

/** A VM as `vm list` shows it. */
export interface VmSurvey {
  readonly name: string
  readonly file: string
  /**
   * invalid: its file has a mistake. unknown: it runs, and its runner does not answer this user. away: the broker can't read a range that
   * may have what belongs to it.
   */
  readonly state: VmRecord['state'] | 'invalid' | 'unknown' | 'away'
  readonly reason: string | null
  /** The runner's pid, while there is a runner. */
  readonly pid: number | null
  readonly qemuPid: number | null
  readonly bytes: number | null
  /** The allocations of its memory and its device state at the broker. */
  readonly allocations: ReadonlyArray<{
    name: string
    range: string
    bytes: number
    holderPid: number | null
  }>
}

/** A runner answers at once. On a busy host it answers later. */
const answerMs = 10_000

/** Returns every VM that has a file. allocations: all that this user may see. */
export function surveyVms(
  directory: string,
  runtimeRoot: string,
  allocations: readonly AllocationInfo[],
  ranges: readonly Range[],
): Promise<VmSurvey[]> {
  return Promise.all(
    vmNames(directory).map(name =>
      surveyOne(path.join(directory, `${name}.toml`), name, runtimeRoot, allocations, ranges),
    ),
  )
}

async function surveyOne(
  file: string,
  name: string,
  runtimeRoot: string,
  all: readonly AllocationInfo[],
  ranges: readonly Range[],
): Promise<VmSurvey> {
  const places = new VmPlaces(runtimeRoot, name)
  const own = all.filter(info => info.name === `${name}/state` || isMemoryOf(name, info))
  const allocations = own.map(({ name, range, bytes, holderPid }) => ({
    name,
    range,
    bytes,
    holderPid: holderPid ?? null,
  }))
  const { settings, mistake } = readable(file)
  const record = await recordOf(
    places,
    own.find(info => info.name === `${name}/state`),
  )
  const away = settings && awayReason(settings, own, ranges)
  return {
    name,
    file,
    ...record,
    ...(away !== undefined && record.pid === null && { state: 'away' as const, reason: away }),
    ...(mistake !== undefined && record.pid === null && { state: 'invalid' as const, reason: mistake }),
    bytes: settings?.memory.reduce((sum, { bytes }) => sum + bytes, 0) ?? null,
    allocations,
  }
}

type Standing = Pick<VmSurvey, 'state' | 'reason' | 'pid' | 'qemuPid'>

async function recordOf(places: VmPlaces, state: AllocationInfo | undefined): Promise<Standing> {
  const holderPid = state?.holderPid ?? null
  if (existsSync(places.control)) {
    const patience = { quietMs: answerMs, signal: AbortSignal.timeout(answerMs) }
    const live = await askRunner<object>(places.control, { ask: 'state' }, patience).then(
      answer => answer && (recordFrom(answer) ?? null),
      () => null,
    )
    if (live) return { state: live.state, reason: live.reason, pid: live.pid, qemuPid: live.qemuPid }
    if (live === null)
      return { state: 'unknown', reason: 'its runner does not answer', pid: holderPid, qemuPid: null }
  }
  if (holderPid !== null)
    return {
      state: 'unknown',
      reason: "its runner's folder is not to be seen",
      pid: holderPid,
      qemuPid: null,
    }
  const ended = { pid: null, qemuPid: null }
  const last = places.read()
  const reason = last?.state === 'failed' ? last.reason : null
  if ((state?.metadata as { state?: unknown } | null)?.state === 'saved' || last?.state === 'prepared')
    return { state: 'saved', reason, ...ended }
  if (last?.state === 'failed') return { state: 'failed', reason, ...ended }
  // Somebody killed a runner whose record still says that it runs.
  const killed = last !== undefined && last.state !== 'stopped' && last.state !== 'saved'
  if (killed) return { state: 'failed', reason: `its runner ended while it was ${last.state}`, ...ended }
  return { state: 'stopped', reason: last?.state === 'stopped' ? last.reason : null, ...ended }
}

/** undefined: a start finds its allocations, or may make them. */
function awayReason(
  { state, memory }: VmSettings,
  own: readonly AllocationInfo[],
  ranges: readonly Range[],
): string | undefined {
  const unseen = [state, ...memory].filter(({ allocation }) => !own.some(({ name }) => name === allocation))
  const places = unseen.map(({ allocation, range }) => whereAway(allocation, ranges, range))
  return places.find(place => place !== undefined)
}

function isMemoryOf(name: string, info: AllocationInfo): boolean {
  return info.name.startsWith(`${name}/`) && /^ram(-\d+)?$/.test(info.name.slice(name.length + 1))
}

function readable(file: string): { settings?: VmSettings; mistake?: string } {
  try {
    return { settings: readVmFile(file) }
  } catch (error) {
    return { mistake: (error as Error).message }
  }
}
