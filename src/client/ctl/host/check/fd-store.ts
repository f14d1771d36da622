import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { sourceOf } from '../../../../../protocol/source'
import type { Range } from '../../../index'
import { bad, type CheckResult, good, notApplicable, shellWord, warning } from '../check'
import type { HostFiles } from '../host-files'

/** The size that the unit in deploy/ sets. */
const usualSize = 8192
const systemctlMs = 10_000

/** Figures of the store that keeps a broker's memfds over a restart. They count memfds. */
export interface FdStoreFigures {
  readonly unit: string
  /** The part of memfd ranges. */
  readonly ranges: readonly string[]
  readonly allocations: number
  /** What of them must be in it now: memfds, and the sessions that preserve some of them over kexec. */
  readonly places: number
  /** The most of that, during an update. */
  readonly placesMax: number
  /** The broker counts on so much room ($FDSTORE). 0: it puts nothing in. */
  readonly told: number
  /** The store has so much room. */
  readonly size: number
  readonly held: number
  /** The bytes of all names in the store; one variable must pass them. undefined: the broker is too old to report them. */
  readonly names: { readonly nameBytes: number; readonly nameBytesMax: number } | undefined
}

/** The service manager confirms no memfd. So only its own count shows how many would come back. */
export async function fdStore(
  files: HostFiles,
  pid: number,
  names: FdStoreFigures['names'],
  readRanges: () => Promise<Range[]>,
  preserved: ReadonlySet<string>,
): Promise<CheckResult> {
  const environment = files.text(`/proc/${pid}/environ`)?.split('\0')
  if (!environment) return notApplicable("only root and the broker's own user can see its environment")
  const told = Number(environment.find(text => text.startsWith('FDSTORE='))?.slice(8) ?? 0)
  const isTold = environment.some(text => text.startsWith('NOTIFY_SOCKET='))
  const unit = unitOf(files.text(`/proc/${pid}/cgroup`) ?? '')
  // Between the two readings, the broker may make or end allocations.
  for (let attempt = 1; ; attempt++) {
    const online = (await readRanges()).filter(
      ({ source, state }) => sourceOf(source)?.files === 'unnamed' && state === 'online',
    )
    const rangeNames = online.map(({ name }) => name)
    const store = unit === undefined ? undefined : await storeOf(unit)
    if (unit === undefined || !store || !(isTold || store.mainPid === pid))
      return notApplicable('no system service runs the broker: its memfds end with it')
    const allocations = online.reduce((sum, range) => sum + range.allocations, 0)
    const places = placesOf(online, ({ capabilities }) => capabilities.survivesKexec)
    const placesMax = placesOf(online, ({ name }) => preserved.has(name))
    const figures = { unit, ranges: rangeNames, allocations, told, size: store.size, held: store.held, names }
    if (store.held >= places || attempt === 3) return judgeFdStore({ ...figures, places, placesMax })
  }
}

/** Each range has one table. A memfd that is preserved has a session beside it. */
export function placesOf(ranges: readonly Range[], isPreserved: (range: Range) => boolean): number {
  return ranges.reduce((sum, range) => sum + (range.allocations + 1) * (isPreserved(range) ? 2 : 1), 0)
}

export function judgeFdStore(figures: FdStoreFigures): CheckResult {
  const { unit, allocations, places, placesMax, told, size, held, names } = figures
  const ranges = figures.ranges.join(', ')
  const lost = places - held
  const restart = `systemctl restart ${shellWord(unit)}`
  if (told === 0)
    return allocations === 0
      ? warning(
          `${unit} has no fd store: memory of ${ranges} would end with the broker`,
          `${enlarge(figures)} && ${restart}`,
        )
      : bad(
          `${unit} has no fd store: ${allocations} allocations in ${ranges} end at the next restart of the broker`,
          `${enlarge(figures)}; when nobody needs them any more: ${restart}`,
        )
  if (lost > 0)
    return bad(
      `the fd store of ${unit} has ${held} memfds of ${ranges}, and room for ${size}: ${lost} more end at the next restart of the broker`,
      `${held < size && told <= size ? '' : `${enlarge(figures)}; `}allocations made while it was full have to be made again before that restart`,
    )
  if (size < told)
    return warning(
      `the fd store of ${unit} has room for ${size} memfds, and the broker counts on ${told}: those beyond end at its next restart`,
      enlarge(figures),
    )
  if (Math.max(places, placesMax) > told * 0.9)
    return warning(
      `the fd store of ${unit} has ${held} of at most ${told} memfds${
        placesMax > places ? `, and ${placesMax} during an update` : ''
      }: allocations in ${ranges} are refused when it is full`,
      `${enlarge(figures)} && ${restart}`,
    )
  if (names && names.nameBytes > names.nameBytesMax * 0.9)
    return warning(
      `the names of the ${held} memfds in the fd store of ${unit} take ${names.nameBytes} of at most ${names.nameBytesMax} bytes: ` +
        `allocations in ${ranges} are refused when they take all`,
      `fewer and larger allocations in ${ranges}, or a range with a shorter name: no size of the store changes this`,
    )
  return good(`the fd store of ${unit} has ${held} of at most ${told} memfds`)
}

/**
 * Adds to the drop-in that `systemctl edit` opens; there the last setting counts. The running service has the new size at once.
 */
function enlarge(figures: FdStoreFigures): string {
  const size = Math.max(usualSize, figures.told, 2 * Math.max(figures.places, figures.placesMax))
  const folder = shellWord(`/etc/systemd/system/${figures.unit}.d`)
  const lines = `\\n[Service]\\nFileDescriptorStoreMax=${size}\\nEnvironment=FDSTORE=${size}\\n`
  return `mkdir -p ${folder} && printf '${lines}' >>${folder}/override.conf && systemctl daemon-reload`
}

/** The innermost service in /proc/PID/cgroup; undefined for one of a user's own manager. */
export function unitOf(groups: string): string | undefined {
  const group = /^\d+:(?:name=systemd)?:(.*\.service)(?:\/|$)/m.exec(groups)?.[1]
  return group === undefined || /\/user@\d+\.service\//.test(group) ? undefined : group.split('/').at(-1)
}

interface UnitStore {
  readonly mainPid: number
  readonly size: number
  readonly held: number
  /** It keeps them while the service is stopped. */
  readonly preserve: boolean
}

/** undefined: no systemd answers. */
export async function storeOf(unit: string): Promise<UnitStore | undefined> {
  const names = ['MainPID', 'FileDescriptorStoreMax', 'NFileDescriptorStore', 'FileDescriptorStorePreserve']
  const values = await propertiesOf(names, unit)
  const [mainPid, size, held] = names.map(name => Number(values?.get(name))) as [number, number, number]
  return values && { mainPid, size, held, preserve: values.get('FileDescriptorStorePreserve') === 'yes' }
}

/** Of systemd itself, or of a unit. undefined: no systemd answers. */
export async function propertiesOf(
  names: readonly string[],
  unit?: string,
): Promise<Map<string, string> | undefined> {
  const of = unit === undefined ? [] : ['--', unit]
  try {
    const { stdout } = await promisify(execFile)('systemctl', ['show', '-p', names.join(), ...of], {
      timeout: systemctlMs,
    })
    return new Map(stdout.split('\n').map(line => line.split('=') as [string, string]))
  } catch {
    return undefined
  }
}
