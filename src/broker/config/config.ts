import { existsSync, readFileSync, statfsSync } from 'node:fs'
import path from 'node:path'
import { defaultSource } from '../../../protocol/source'
import { Mistake, readSize } from '../../../protocol/source/key'
import { systemReason } from '../../../protocol/system-reason'
import { lineOf, readToml } from '../../../protocol/toml'
import { GiB, MiB, roundDown } from '../../../protocol/units'
import { settleConsole } from './console-settings'
import { validate } from './generated/validate'
import { type Fail, overlapping, settleRange, tableBytesFor } from './range'
import type { ConfigFile, OwnerConfig } from './schema'
import { type OwnerLimits, type RangeSettings, type Settings, unlimited } from './settings'
import { lookUpAtStart, type Uids, type UserLookup } from './users'

/** A configuration that can't be used; the message names the file and the line. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/**
 * Mappings of shared allocations by one uid without [[owner]] and [defaults]: two for each of 32 virtual machines.
 */
export const strangerMappingsMax = 64
const nothing: OwnerLimits = {
  ...unlimited,
  bytesMax: 0,
  allocationsMax: 0,
  mappingsMax: strangerMappingsMax,
}

const ownUid = process.getuid!()

/**
 * Where the broker listens when nobody says otherwise. The client library looks in the same places.
 * @throws ConfigError when this user has no folder that is nobody else's
 */
function defaultSocket(): string {
  if (ownUid === 0) return '/run/membroker/broker.sock'
  const given = process.env.XDG_RUNTIME_DIR
  const runtime = given && path.isAbsolute(given) ? given : `/run/user/${ownUid}`
  if (!existsSync(runtime))
    throw new ConfigError(
      `there is no ${runtime} for the socket; choose a path with --socket or broker.socket`,
    )
  return path.join(runtime, 'membroker', 'broker.sock')
}

/** The embedded default: one `directory` range on the shared-memory tmpfs, for this user alone. */
export function embeddedDefault(
  overrides: { directory?: string; bytes?: number; socket?: string } = {},
): Settings {
  const directory =
    overrides.directory ?? (ownUid === 0 ? '/dev/shm/membroker' : `/dev/shm/membroker-${ownUid}`)
  return {
    socket: overrides.socket ?? defaultSocket(),
    socketMode: ownUid === 0 ? 0o666 : 0o600,
    logLevel: 'info',
    clientsMax: 4096,
    clientsPerUidMax: 2048,
    strangersMax: strangersOf(4096),
    ranges: [
      {
        name: 'default',
        source: defaultSource,
        path: directory,
        bytes: overrides.bytes ?? defaultBytes(directory),
        alignBytes: undefined,
        tableBytes: undefined,
      },
    ],
    owners: new Map(),
    defaults: nothing,
    admins: new Set([0, ownUid]),
    revokeGraceMs: 5000,
    onDeadline: 'quarantine',
    console: undefined,
  }
}

/** A uid without rights may connect and look; it can do nothing else. */
function strangersOf(clientsMax: number): number {
  return Math.max(16, Math.ceil(clientsMax / 16))
}

function defaultBytes(directory: string): number {
  const { blocks, bsize } = statfsSync(path.dirname(directory))
  return defaultRangeBytes(blocks * bsize)
}

/**
 * Half of the whole filesystem, so that the figure is the same at every start: whole GiB, at least one; whole MiB where
 * that does not fit with its table, as in containers. 0: the filesystem has no size.
 */
export function defaultRangeBytes(filesystemBytes: number): number {
  const half = filesystemBytes / 2
  if (filesystemBytes === 0 || filesystemBytes >= GiB + tableBytesFor(GiB))
    return Math.max(GiB, roundDown(half, GiB))
  return Math.max(MiB, roundDown(half, MiB))
}

/** Read and check a configuration file. socket: instead of the file's. @throws ConfigError */
export function loadConfig(file: string, socket?: string): Settings {
  return parseConfig(read(file), file, socket)
}

/** The same, for a broker that serves clients meanwhile. @throws ConfigError */
export async function reloadConfig(file: string, users: UserLookup, socket?: string): Promise<Settings> {
  const checked = check(read(file), file)
  return settle(checked, await users.lookUp(usersIn(checked)), socket)
}

/** @throws ConfigError */
export function parseConfig(text: string, file: string, socket?: string): Settings {
  const checked = check(text, file)
  return settle(checked, lookUpAtStart(usersIn(checked)), socket)
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(`${file}: ${systemReason(error)}`)
  }
}

/** A file that the schema allows. */
interface Checked {
  content: ConfigFile
  fail: Fail
}

function usersIn({ content: { owner = [], admin } }: Checked): Set<string> {
  const owners = owner.flatMap(({ user }) => (user === undefined ? [] : [user]))
  return new Set([...owners, ...(admin?.users ?? [])])
}

function check(text: string, file: string): Checked {
  const mistake = (line: number, reason: string) => new ConfigError(`${file}:${line}: ${reason}`)
  return {
    // Loaded here: the embedded default starts without a parser.
    content: readToml<ConfigFile>(text, require('smol-toml'), validate, mistake),
    fail: (at, reason) => {
      throw mistake(lineOf(text, at), reason)
    },
  }
}

function settle({ content: file, fail }: Checked, users: Uids, socket = file.broker?.socket): Settings {
  const base = embeddedDefault({ bytes: 0, socket: socket ?? '' })
  const names = new Set<string>()
  const placed: RangeSettings[] = []
  const paths = new Set<string>()
  const ranges = file.range.map((range, index) => {
    const at = ['range', index]
    if (names.has(range.name)) fail([...at, 'name'], `two ranges are called '${range.name}'`)
    names.add(range.name)
    const settings = settleRange(range, at, fail)
    const other = overlapping(settings, placed)
    if (other) fail([...at, 'base'], `it overlaps range '${other.name}'`)
    placed.push(settings)
    if (settings.path === undefined) return settings
    if (paths.has(path.resolve(settings.path))) fail([...at, 'path'], `two ranges use ${settings.path}`)
    paths.add(path.resolve(settings.path))
    return settings
  })

  const limits = (
    config: Omit<OwnerConfig, 'user' | 'uid'>,
    at: (string | number)[],
    fallback: OwnerLimits,
  ) => {
    for (const range of config.ranges ?? [])
      if (!names.has(range)) fail([...at, 'ranges'], `no range is called '${range}'`)
    const bytesMax =
      config.bytes_max === undefined ? fallback.bytesMax : readSize(config.bytes_max, 'bytes_max')
    const countMax = (own: number | undefined, otherwise: number) =>
      own ?? (config.bytes_max === undefined ? otherwise : Infinity)
    return {
      bytesMax: bytesMax instanceof Mistake ? fail([...at, 'bytes_max'], bytesMax.reason) : bytesMax,
      allocationsMax: countMax(config.allocations_max, fallback.allocationsMax),
      mappingsMax: countMax(config.mappings_max, fallback.mappingsMax),
      ranges: config.ranges,
      names: config.names,
      openByPath: config.open_by_path ?? false,
    }
  }
  const uidOf = (user: string, at: (string | number)[]) => {
    const uid = users.get(user)!
    return uid instanceof Mistake ? fail(at, uid.reason) : uid
  }
  const owners = new Map<number, OwnerLimits>()
  for (const [index, owner] of (file.owner ?? []).entries()) {
    const at = ['owner', index]
    if ((owner.user === undefined) === (owner.uid === undefined))
      fail(at, "owner needs either 'user' or 'uid'")
    const uid = owner.uid ?? uidOf(owner.user!, [...at, 'user'])
    if (owners.has(uid)) fail(at, `uid ${uid} has two owner entries`)
    owners.set(uid, limits(owner, at, unlimited))
  }
  const admins = new Set([...base.admins, ...(file.admin?.uids ?? [])])
  for (const user of file.admin?.users ?? []) admins.add(uidOf(user, ['admin', 'users']))

  const clientsMax = file.broker?.clients_max ?? base.clientsMax
  return {
    // Last: that this user has no place for one is the smallest of all mistakes in a file.
    socket: socket ?? defaultSocket(),
    socketMode:
      file.broker?.socket_mode === undefined ? base.socketMode : Number.parseInt(file.broker.socket_mode, 8),
    logLevel: file.broker?.log_level ?? base.logLevel,
    clientsMax,
    clientsPerUidMax: file.broker?.clients_per_uid_max ?? Math.ceil(clientsMax / 2),
    strangersMax: file.broker?.strangers_max ?? strangersOf(clientsMax),
    ranges,
    owners,
    defaults: file.defaults ? limits(file.defaults, ['defaults'], nothing) : nothing,
    admins,
    revokeGraceMs: file.revoke?.grace_ms ?? base.revokeGraceMs,
    onDeadline: file.revoke?.on_deadline ?? base.onDeadline,
    console: file.console && settleConsole(file.console, (key, reason) => fail(['console', key], reason)),
  }
}
