import { formatSize } from './units'

type Parameters = Readonly<Record<string, unknown>>

const bytes = (value: unknown) => (typeof value === 'number' ? formatSize(value) : String(value))

const sentences: Record<string, (p: Parameters) => string> = {
  NotFound: p => `there is no ${p.kind} ${JSON.stringify(p.name)} that you may see`,
  NameTaken: p => `the name ${JSON.stringify(p.name)} is in use`,
  InvalidArgument: p => `${p.parameter}: ${p.reason}`,
  NoSpace: noSpace,
  QuotaExceeded: quotaExceeded,
  PermissionDenied: p => String(p.reason ?? 'this user may not do that'),
  AlreadyClaimed: p => `process ${p.pid}, which is alive, holds ${JSON.stringify(p.name)}`,
  NotClaimed: p => `this process does not hold ${JSON.stringify(p.name)}: claim it first`,
  Frozen: p => `the broker is frozen and refuses changes: ${p.reason}`,
  RangeReadOnly: p => `range ${p.range} is read-only: ${p.reason}`,
  TableFull: p => `the allocation table of range ${p.range} is full (${bytes(p.stateBytesMax)} of state)`,
  LimitExceeded: limitExceeded,
  Busy: p => `${JSON.stringify(p.name)} is busy: ${p.operation} is under way`,
  SourceFailed: sourceFailed,
  UpdateNotReady: p => `update ${p.update} of the host can't proceed: ${p.reason}`,
  ConsoleOff: () => "the debug console is off: the broker's configuration does not start it",
  ConfigInvalid: p => `the configuration file is wrong, the running configuration stays: ${p.reason}`,
  InvalidParameter: p => `the broker does not accept parameter ${p.parameter}`,
  MethodNotFound: p => `the broker does not know the method ${p.method}: it is older than this library`,
  InterfaceNotFound: p => `the program at the socket does not speak ${p.interface}`,
}

/** An error of the contract as a sentence for people. Its code stands beside it, or before it. */
export function errorText(code: string, parameters: Parameters): string {
  const sentence = sentences[code]
  return sentence ? sentence(parameters) : `the broker refused with ${code} ${JSON.stringify(parameters)}`
}

function noSpace(p: Parameters): string {
  const { requestedBytes, freeBytes, largestFreeBytes } = p as Record<string, number>
  const head = `range ${p.range} can't serve ${bytes(requestedBytes)}: ${bytes(freeBytes)} free`
  const fragmented = Number(freeBytes) >= Number(requestedBytes)
  return `${head}, ${bytes(largestFreeBytes)} in one piece${fragmented ? ' (fragmented)' : ''}`
}

function sourceFailed({ operation, range, code, reason }: Parameters): string {
  const where = range === '' ? '' : ` in range ${range}`
  return `${operation} failed${where}: ${reason}${code === 'unknown' ? '' : ` (${code})`}`
}

function quotaExceeded(p: Parameters): string {
  const show = p.resource === 'bytes' ? bytes : String
  return (
    `uid ${p.uid} is over its quota of ${p.resource}: ` +
    `${show(p.requested)} requested, ${show(p.used)} of ${show(p.limit)} in use`
  )
}

const limitsInWords: Record<string, string> = {
  tableBytesOfUid: "this user's records fill its share of the allocation table",
  tableBytesOfOwner: "the owner's share of the allocation table is full with mappings of its allocations",
  tableBytesWithoutOwner:
    "users without an [[owner]] in the broker's configuration together fill their share of the allocation table",
  fdStoreMemfds:
    "the service manager's fd store, which keeps the memory over a restart of the broker, is full",
  fdStoreNameBytes:
    "the names in the service manager's fd store leave no room for one more, as all of them go through one variable",
  sharedMappingsPerAllocation: 'the uids that it is shared with have the maximum of mappings',
}

function limitExceeded({ limit, max }: Parameters): string {
  const words = limitsInWords[String(limit)]
  return words ? `${words} (${limit}, at most ${max})` : `over the limit ${limit} (at most ${max})`
}
