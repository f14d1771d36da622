import { isDeepStrictEqual } from 'node:util'
import type { Settings } from './settings'

/** Settings that take effect while the broker runs, with the keys they have in the file. */
const live = {
  logLevel: 'broker.log_level',
  clientsMax: 'broker.clients_max',
  clientsPerUidMax: 'broker.clients_per_uid_max',
  strangersMax: 'broker.strangers_max',
  defaults: 'defaults',
  admins: 'admin',
  revokeGraceMs: 'revoke.grace_ms',
  onDeadline: 'revoke.on_deadline',
  owners: 'owner',
} satisfies Partial<Record<keyof Settings, string>>

/** Keys in the file of settings that wait for a restart, where they are not called the same. */
const atStart: Partial<Record<keyof Settings, string>> = {
  socket: 'broker.socket',
  socketMode: 'broker.socket_mode',
}

/** The effect of a new configuration on the running one. */
interface Changes {
  /** The running settings with the changes that can take effect now. */
  settings: Settings
  /** Keys in the file: those whose new values are in effect, and those that wait for a restart. */
  changed: string[]
  needsRestart: string[]
}

export function changesOf(running: Settings, wanted: Settings): Changes {
  const settings = { ...running }
  const changed: string[] = []
  const needsRestart: string[] = []
  for (const key of Object.keys({ ...running, ...wanted }) as (keyof Settings)[]) {
    if (isDeepStrictEqual(running[key], wanted[key])) continue
    if (key in live) {
      Object.assign(settings, { [key]: wanted[key] })
      changed.push(...(key === 'owners' ? ownersBetween(running, wanted) : [live[key as keyof typeof live]]))
    } else needsRestart.push(...(key === 'ranges' ? rangesBetween(running, wanted) : [atStart[key] ?? key]))
  }
  return { settings, changed: changed.sort(), needsRestart: needsRestart.sort() }
}

function ownersBetween({ owners: before }: Settings, { owners: after }: Settings): string[] {
  const uids = new Set([...before.keys(), ...after.keys()])
  return [...uids]
    .filter(uid => !isDeepStrictEqual(before.get(uid), after.get(uid)))
    .map(uid => `owner.${uid}`)
}

/** The broker searches ranges for room in their order. If only the order is new, all ranges have changed. */
function rangesBetween({ ranges: before }: Settings, { ranges: after }: Settings): string[] {
  const names = [...new Set([...before, ...after].map(range => range.name))]
  const of = (ranges: Settings['ranges'], name: string) => ranges.find(range => range.name === name)
  const different = names.filter(name => !isDeepStrictEqual(of(before, name), of(after, name)))
  return (different.length > 0 ? different : names).map(name => `range.${name}`)
}

/** Reads a configuration again for everybody who has asked for it. */
type Reread<Caller, Result> = (callers: readonly Caller[]) => Promise<Result>

/** One reload at a time. Who asks while one is under way shares the next: it reads the file after all of them have asked. */
export class Reloads<Caller, Result> {
  private last: Promise<unknown> = Promise.resolve()
  private next: { callers: Caller[]; done: Promise<Result> } | undefined

  constructor(private readonly reread: Reread<Caller, Result>) {}

  ask(caller: Caller): Promise<Result> {
    this.next ??= this.plan()
    this.next.callers.push(caller)
    return this.next.done
  }

  private plan() {
    const callers: Caller[] = []
    const done = this.last.then(() => {
      this.next = undefined
      return this.reread(callers)
    })
    this.last = done.catch(() => {})
    return { callers, done }
  }
}
