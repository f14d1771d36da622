// Generated from io.membroker.Broker.varlink by 'npm run generate'; edit that instead.

/**
 * The wire contract of membroker: memory of a reserved range, handed out as mmap-able file descriptors.
 *
 * Sizes, offsets and lengths are bytes; times are milliseconds since the Unix epoch; every integer lies in
 * -(2^53-1) .. 2^53-1. A field named fileDescriptor is an index into the array of file descriptors that came
 * with the same message (SCM_RIGHTS). Requests never carry file descriptors. WIRE.md beside this file has a
 * card for each method with example bytes.
 *
 * Identity is the socket's (SO_PEERCRED, SO_PEERPIDFD), taken once at connect, and never a field of a message.
 * A reply is sent after its change is in the range's allocation table, so what was answered survives SIGKILL
 * of the broker, and kexec where the source says so.
 */
export const brokerInterfaceName = 'io.membroker.Broker'

/**
 * What a source can really do.
 *   fdBound: what keeps a descriptor inside its allocation: the kernel device, a file of its own, or nothing
 *   forcedRevoke: the broker can end a mapping under a holder that does not cooperate
 *   survivesBroker, survivesKexec: contents and table outlive the broker process, the kernel
 *   directMap: the kernel itself keeps this memory in its direct map
 */
export interface Capabilities {
  fdBound: 'kernel' | 'file' | 'none'
  forcedRevoke: boolean
  survivesBroker: boolean
  survivesKexec: boolean
  directMap: boolean
  pageBytes: number
}

/**
 * A reserved range. base is the physical address where the source has one. Free memory is freeBytes, of which
 * largestFreeBytes can be had in one extent; scrubbingBytes and quarantinedBytes are retired, not yet free;
 * poisonedBytes are bad memory that nobody is given again, apart from what a living allocation still has of it.
 * A readOnly range serves what it holds and refuses every change; reason says why.
 */
export interface Range {
  name: string
  source: string
  state: 'online' | 'readOnly'
  reason?: string | null | undefined
  base?: number | null | undefined
  node?: number | null | undefined
  bytes: number
  freeBytes: number
  largestFreeBytes: number
  freeExtents: number
  allocatedBytes: number
  quarantinedBytes: number
  scrubbingBytes: number
  poisonedBytes: number
  alignBytes: number
  allocations: number
  table: TableStatus
  capabilities: Capabilities
}

/** How full the allocation table is, and what the last writer left in it. */
export interface TableStatus {
  epoch: number
  sequence: number
  stateBytes: number
  stateBytesMax: number
  recovery: 'fresh' | 'sameBoot' | 'newBoot' | 'unreadable'
}

/** A piece of a range: offset from the range's start. */
export interface Extent {
  offset: number
  length: number
}

/** The right of another uid to map an allocation. */
export interface ShareRight {
  uid: number
  access: 'read' | 'readWrite'
}

/**
 * Memory retired from use: its allocation is gone, its bytes are not yet anybody's. scrubbedBytes of them are
 * zeroed by now.
 */
export interface Retired {
  id: number
  range: string
  allocation: string
  uid: number
  bytes: number
  extents: Array<Extent>
  scrubbedBytes: number
  state: 'scrubbing' | 'quarantined'
  reason: string
  holders: Array<number>
}

/**
 * A named, owned, persisted set of extents. holderPid is the living process that allocated or claimed it.
 * metadata belongs to the owner, the broker only keeps it. verdict: what is known of the contents (see Verify).
 */
export interface Allocation {
  id: number
  name: string
  range: string
  uid: number
  bytes: number
  alignBytes: number
  extents: Array<Extent>
  metadata?: Record<string, unknown> | null | undefined
  secret: boolean
  shares: Array<ShareRight>
  mappings: number
  holderPid?: number | null | undefined
  verdict: 'intact' | 'changed' | 'poisoned' | 'unverified'
}

/**
 * One process' right to map part of an allocation. offset and length are within the allocation.
 * held: its process lives; dormant: it is gone, and the layout waits to be claimed; revoking: being taken back.
 */
export interface Mapping {
  id: number
  allocation: string
  offset: number
  length: number
  access: 'read' | 'readWrite'
  guestAddress?: number | null | undefined
  metadata?: Record<string, unknown> | null | undefined
  uid: number
  pid?: number | null | undefined
  state: 'held' | 'dormant' | 'revoking'
}

/**
 * A mapping with its descriptor. Where the descriptor covers the whole allocation (capability fdBound: file),
 * mmapOffset is where in the descriptor the mapping starts.
 */
export interface Grant {
  mapping: Mapping
  fileDescriptor: number
  mmapOffset: number
}

/** Bad memory: a piece of a range, relative to its start, and the allocation that has it, if any. */
export interface Poison {
  range: string
  offset: number
  length: number
  allocation?: string | null | undefined
  seenAt: number
  origin: 'kernel' | 'scrub' | 'operator' | 'owner'
}

/**
 * What a range's broker found when it started: the kernel before (previousBootId; null: none is known), which of
 * the two checkpoint copies of the table was the newest good one and how many journal entries were replayed on it,
 * how many allocations were there, how many of those nobody has claimed since, and what it had to say.
 */
export interface Recovery {
  range: string
  kind: 'fresh' | 'sameBoot' | 'newBoot' | 'unreadable'
  bootId: string
  previousBootId?: string | null | undefined
  startedAt: number
  tookMs: number
  checkpoint?: number | null | undefined
  replayed: number
  epoch: number
  sequence: number
  allocations: number
  unclaimed: number
  findings: Array<string>
}

/**
 * Calls of a method since the broker started. latency counts them by time in the broker, from parsed request to
 * queued reply: latency[i] are those of less than bucketsMicroseconds[i] (of GetStatistics) and not less than
 * bucketsMicroseconds[i-1]; one more, last, has the rest.
 */
export interface MethodStatistics {
  method: string
  calls: number
  errors: number
  totalMicroseconds: number
  latency: Array<number>
}

/** A connected process, and what it holds. */
export interface Client {
  id: number
  pid: number
  uid: number
  gid: number
  command: string
  connectedAt: number
  calls: number
  watching: boolean
  allocations: number
  mappings: number
}

/** An owner's quota and what it uses. Retired memory stays charged until it is free. */
export interface Usage {
  uid: number
  bytes: number
  bytesMax: number
  allocations: number
  allocationsMax: number
  mappings: number
  mappingsMax: number
}

/** A change. sequence counts up by one per change since the broker started. */
export interface Event {
  sequence: number
  time: number
  kind: 'allocated' | 'grown' | 'changed' | 'claimed' | 'released' | 'mapped' | 'revokeRequested' | 'revokeStep' | 'revoked' | 'dormant' | 'retired' | 'quarantined' | 'reclaimed' | 'tampered' | 'poisoned' | 'verified' | 'connected' | 'disconnected' | 'frozen' | 'thawed' | 'range' | 'reloaded'
  allocation?: string | null | undefined
  mapping?: number | null | undefined
  range?: string | null | undefined
  uid?: number | null | undefined
  pid?: number | null | undefined
  offset?: number | null | undefined
  bytes?: number | null | undefined
  access?: 'read' | 'readWrite' | null | undefined
  guestAddress?: number | null | undefined
  deadline?: number | null | undefined
  detail?: string | null | undefined
}

/** The broker at a glance. */
export type GetStatusIn = Record<string, never>

export interface GetStatusOut {
  version: string
  pid: number
  bootId: string
  startedAt: number
  frozen?: string | null | undefined
  ranges: number
  allocations: number
  unclaimed: number
  mappings: number
  clients: number
  clientsMax: number
  retired: Array<Retired>
  usage: Array<Usage>
}

export type ListRangesIn = Record<string, never>

export interface ListRangesOut {
  ranges: Array<Range>
}

/**
 * Allocations the caller may see (its own, those shared with it, all for an administrator), in order of id,
 * after the given id, at most limit (default and most: 256). next is set when there are more.
 */
export interface ListAllocationsIn {
  prefix?: string | null | undefined
  after?: number | null | undefined
  limit?: number | null | undefined
}

export interface ListAllocationsOut {
  allocations: Array<Allocation>
  next?: number | null | undefined
}

export interface GetAllocationIn {
  name: string
}

export interface GetAllocationOut {
  allocation: Allocation
  mappings: Array<Mapping>
}

/**
 * Reserve memory under a name. bytes is rounded up to the range's alignBytes. alignBytes asks for more than
 * that. Unless contiguous is set, memory may come in several extents when no single one is large enough. node asks
 * for memory of that NUMA node: ranges of other nodes, and those that know none, are left out.
 * uid allocates for another owner (administrators only). The caller becomes the holder, unless uid is another's.
 */
export interface AllocateIn {
  name: string
  bytes: number
  alignBytes?: number | null | undefined
  range?: string | null | undefined
  node?: number | null | undefined
  contiguous?: boolean | null | undefined
  metadata?: Record<string, unknown> | null | undefined
  secret?: string | null | undefined
  uid?: number | null | undefined
}

export interface AllocateOut {
  allocation: Allocation
}

/** Make an allocation larger; what it holds stays where it is. */
export interface GrowIn {
  name: string
  bytes: number
  secret?: string | null | undefined
}

export interface GrowOut {
  allocation: Allocation
}

/** Replace the owner's metadata; null removes it. */
export interface SetMetadataIn {
  name: string
  metadata?: Record<string, unknown> | null | undefined
  secret?: string | null | undefined
}

export interface SetMetadataOut {
  allocation: Allocation
}

/** Let another uid map an allocation. access null ends the right; mappings already made are revoked by RevokeMapping. */
export interface ShareIn {
  name: string
  uid: number
  access?: 'read' | 'readWrite' | null | undefined
  secret?: string | null | undefined
}

export interface ShareOut {
  allocation: Allocation
}

/**
 * A descriptor for part of an allocation that the caller holds or that is shared with its uid.
 * Defaults: the whole allocation, readWrite. guestAddress and metadata are kept for Claim.
 */
export interface CreateMappingIn {
  name: string
  offset?: number | null | undefined
  length?: number | null | undefined
  access?: 'read' | 'readWrite' | null | undefined
  guestAddress?: number | null | undefined
  metadata?: Record<string, unknown> | null | undefined
  secret?: string | null | undefined
}

export interface CreateMappingOut {
  grant: Grant
}

/**
 * End a mapping. From its own process: it has unmapped and closed. From the owner or an administrator: the holder
 * is asked (event revokeRequested), given graceMs, and then the range's policy decides: killed, or left.
 * revoked: proved that no descriptor and no mapping of it remain, or, given back by its own process while others
 * rightly hold the allocation, that only those have it open. quarantined: no proof yet; the mapping stays in state
 * revoking until there is one. With more, each step of the way is a reply of its own.
 */
export interface RevokeMappingIn {
  mapping: number
  graceMs?: number | null | undefined
  secret?: string | null | undefined
}

export interface RevokeMappingOut {
  outcome: 'pending' | 'revoked' | 'quarantined'
  step: string
}

/**
 * End an allocation: its mappings are revoked as by RevokeMapping, its memory is scrubbed and freed.
 * quarantined: the name is free again, the memory only when its last holder is gone.
 */
export interface ReleaseIn {
  name: string
  graceMs?: number | null | undefined
  secret?: string | null | undefined
}

export interface ReleaseOut {
  outcome: 'pending' | 'released' | 'quarantined'
  step: string
}

/**
 * Take up one's allocations again after the client, the broker or the kernel was replaced. Either name, or prefix
 * with more: one reply per allocation, in order of id. The caller becomes the holder and gets a descriptor for
 * each dormant mapping of its uid. Mappings of allocations only shared with the caller come back the same way.
 * nothing: no allocation matches. With a prefix, what can't be claimed is reported and the others go on.
 */
export interface ClaimIn {
  name?: string | null | undefined
  prefix?: string | null | undefined
  secret?: string | null | undefined
}

export interface ClaimOut {
  outcome: 'claimed' | 'held' | 'refused' | 'unavailable' | 'nothing'
  detail?: string | null | undefined
  allocation?: Allocation | null | undefined
  grants: Array<Grant>
}

/**
 * Refuse every change of every table until Thaw, across restarts of the broker. A new boot ends a freeze.
 * digests: record what every allocation holds, for Verify; all who write to them must have stopped. With more,
 * replies tell how far that is; frozen is the last. The freeze itself stands from the first reply on, and stays when
 * the caller goes away; the digests taken so far do too, and Freeze with digests may be called again. Thaw ends them.
 */
export interface FreezeIn {
  reason?: string | null | undefined
  digests?: boolean | null | undefined
}

export interface FreezeOut {
  outcome: 'pending' | 'frozen'
  digestedBytes: number
  totalBytes: number
}

export type ThawIn = Record<string, never>

export type ThawOut = Record<string, never>

/**
 * Compare what allocations hold with the digests of the last freeze: all, or those under prefix; one reply for each
 * in order of id (outcome verified, with its verdict), and with more, between them how far it is. An allocation has
 * no digest (verdict unverified) if it was not there, or was claimed or mapped for writing, or grown, since. Memory that
 * can't be read enters the ledger of bad memory (verdict poisoned). For administrators, also while the broker is frozen.
 */
export interface VerifyIn {
  prefix?: string | null | undefined
}

export interface VerifyOut {
  outcome: 'pending' | 'verified' | 'nothing'
  name?: string | null | undefined
  verdict?: 'intact' | 'changed' | 'poisoned' | 'unverified' | null | undefined
  detail?: string | null | undefined
  verifiedBytes: number
  totalBytes: number
}

/**
 * This memory is bad: an allocation's, told by who may map it (a machine check: SIGBUS with BUS_MCEERR_AO or _AR), or
 * a range's, told by an administrator. offset and length are in the allocation, or in the range, and grow to whole
 * pages of the source. Once nobody has it any more it is never handed out again, also not after kexec. Where the kernel
 * chooses the pages (directory, memfd), nothing enters the ledger, and only the verdict says it. Also while frozen.
 */
export interface MarkPoisonedIn {
  name?: string | null | undefined
  range?: string | null | undefined
  offset: number
  length: number
  secret?: string | null | undefined
}

export interface MarkPoisonedOut {
  poisoned: Array<Poison>
}

/** The ledger of bad memory, in order of range and offset. For administrators. */
export type ListPoisonedIn = Record<string, never>

export interface ListPoisonedOut {
  poisoned: Array<Poison>
}

/** What happened at the broker's start, for each range. For administrators. */
export type GetRecoveryIn = Record<string, never>

export interface GetRecoveryOut {
  recoveries: Array<Recovery>
}

/**
 * Counters since the broker's start; read twice, they give rates. For administrators. connections: all that there
 * have been. eventsMissed: events that viewers were too slow for.
 */
export type GetStatisticsIn = Record<string, never>

export interface GetStatisticsOut {
  time: number
  bucketsMicroseconds: Array<number>
  methods: Array<MethodStatistics>
  connections: number
  events: number
  eventsMissed: number
  scrubbedBytes: number
  digestedBytes: number
  residentBytes: number
  cpuMicroseconds: number
}

/**
 * Bytes of an allocation, as base64, at most 16 KiB at once, for looking at what is there. For administrators, and
 * only where the configuration says raw_view = true; each use is logged.
 */
export interface ReadAllocationIn {
  name: string
  offset: number
  length: number
}

export interface ReadAllocationOut {
  data: string
}

/** The address of the debug console, with the token that opens it. For administrators. */
export type OpenConsoleIn = Record<string, never>

export interface OpenConsoleOut {
  url: string
}

/**
 * Read the configuration again (as SIGHUP does): owners, quotas, administrators, revocation and log level take
 * effect, no client is dropped. changed names the keys whose new values are in effect, needsRestart those that
 * wait for the next start. A file that is not good changes nothing. For administrators.
 */
export type ReloadIn = Record<string, never>

export interface ReloadOut {
  changed: Array<string>
  needsRestart: Array<string>
}

/** Until the next start or Reload. For administrators. */
export interface SetLogLevelIn {
  level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
}

export type SetLogLevelOut = Record<string, never>

/**
 * First the state (kind snapshot, in batches; its last has snapshotEnd), then each change as it happens.
 * A viewer too slow to keep up loses events and is told how many by missed. mine: only what concerns the
 * caller's own process.
 */
export interface WatchIn {
  mine?: boolean | null | undefined
}

export interface WatchOut {
  allocations?: Array<Allocation> | null | undefined
  mappings?: Array<Mapping> | null | undefined
  snapshotEnd?: boolean | null | undefined
  event?: Event | null | undefined
  missed?: number | null | undefined
}

export type ListClientsIn = Record<string, never>

export interface ListClientsOut {
  clients: Array<Client>
}

/** Input and output of each method. */
export interface BrokerMethods {
  /** The broker at a glance. */
  GetStatus: { in: GetStatusIn; out: GetStatusOut }
  ListRanges: { in: ListRangesIn; out: ListRangesOut }
  /**
   * Allocations the caller may see (its own, those shared with it, all for an administrator), in order of id,
   * after the given id, at most limit (default and most: 256). next is set when there are more.
   */
  ListAllocations: { in: ListAllocationsIn; out: ListAllocationsOut }
  GetAllocation: { in: GetAllocationIn; out: GetAllocationOut }
  /**
   * Reserve memory under a name. bytes is rounded up to the range's alignBytes. alignBytes asks for more than
   * that. Unless contiguous is set, memory may come in several extents when no single one is large enough. node asks
   * for memory of that NUMA node: ranges of other nodes, and those that know none, are left out.
   * uid allocates for another owner (administrators only). The caller becomes the holder, unless uid is another's.
   */
  Allocate: { in: AllocateIn; out: AllocateOut }
  /** Make an allocation larger; what it holds stays where it is. */
  Grow: { in: GrowIn; out: GrowOut }
  /** Replace the owner's metadata; null removes it. */
  SetMetadata: { in: SetMetadataIn; out: SetMetadataOut }
  /** Let another uid map an allocation. access null ends the right; mappings already made are revoked by RevokeMapping. */
  Share: { in: ShareIn; out: ShareOut }
  /**
   * A descriptor for part of an allocation that the caller holds or that is shared with its uid.
   * Defaults: the whole allocation, readWrite. guestAddress and metadata are kept for Claim.
   */
  CreateMapping: { in: CreateMappingIn; out: CreateMappingOut }
  /**
   * End a mapping. From its own process: it has unmapped and closed. From the owner or an administrator: the holder
   * is asked (event revokeRequested), given graceMs, and then the range's policy decides: killed, or left.
   * revoked: proved that no descriptor and no mapping of it remain, or, given back by its own process while others
   * rightly hold the allocation, that only those have it open. quarantined: no proof yet; the mapping stays in state
   * revoking until there is one. With more, each step of the way is a reply of its own.
   */
  RevokeMapping: { in: RevokeMappingIn; out: RevokeMappingOut }
  /**
   * End an allocation: its mappings are revoked as by RevokeMapping, its memory is scrubbed and freed.
   * quarantined: the name is free again, the memory only when its last holder is gone.
   */
  Release: { in: ReleaseIn; out: ReleaseOut }
  /**
   * Take up one's allocations again after the client, the broker or the kernel was replaced. Either name, or prefix
   * with more: one reply per allocation, in order of id. The caller becomes the holder and gets a descriptor for
   * each dormant mapping of its uid. Mappings of allocations only shared with the caller come back the same way.
   * nothing: no allocation matches. With a prefix, what can't be claimed is reported and the others go on.
   */
  Claim: { in: ClaimIn; out: ClaimOut }
  /**
   * Refuse every change of every table until Thaw, across restarts of the broker. A new boot ends a freeze.
   * digests: record what every allocation holds, for Verify; all who write to them must have stopped. With more,
   * replies tell how far that is; frozen is the last. The freeze itself stands from the first reply on, and stays when
   * the caller goes away; the digests taken so far do too, and Freeze with digests may be called again. Thaw ends them.
   */
  Freeze: { in: FreezeIn; out: FreezeOut }
  Thaw: { in: ThawIn; out: ThawOut }
  /**
   * Compare what allocations hold with the digests of the last freeze: all, or those under prefix; one reply for each
   * in order of id (outcome verified, with its verdict), and with more, between them how far it is. An allocation has
   * no digest (verdict unverified) if it was not there, or was claimed or mapped for writing, or grown, since. Memory that
   * can't be read enters the ledger of bad memory (verdict poisoned). For administrators, also while the broker is frozen.
   */
  Verify: { in: VerifyIn; out: VerifyOut }
  /**
   * This memory is bad: an allocation's, told by who may map it (a machine check: SIGBUS with BUS_MCEERR_AO or _AR), or
   * a range's, told by an administrator. offset and length are in the allocation, or in the range, and grow to whole
   * pages of the source. Once nobody has it any more it is never handed out again, also not after kexec. Where the kernel
   * chooses the pages (directory, memfd), nothing enters the ledger, and only the verdict says it. Also while frozen.
   */
  MarkPoisoned: { in: MarkPoisonedIn; out: MarkPoisonedOut }
  /** The ledger of bad memory, in order of range and offset. For administrators. */
  ListPoisoned: { in: ListPoisonedIn; out: ListPoisonedOut }
  /** What happened at the broker's start, for each range. For administrators. */
  GetRecovery: { in: GetRecoveryIn; out: GetRecoveryOut }
  /**
   * Counters since the broker's start; read twice, they give rates. For administrators. connections: all that there
   * have been. eventsMissed: events that viewers were too slow for.
   */
  GetStatistics: { in: GetStatisticsIn; out: GetStatisticsOut }
  /**
   * Bytes of an allocation, as base64, at most 16 KiB at once, for looking at what is there. For administrators, and
   * only where the configuration says raw_view = true; each use is logged.
   */
  ReadAllocation: { in: ReadAllocationIn; out: ReadAllocationOut }
  /** The address of the debug console, with the token that opens it. For administrators. */
  OpenConsole: { in: OpenConsoleIn; out: OpenConsoleOut }
  /**
   * Read the configuration again (as SIGHUP does): owners, quotas, administrators, revocation and log level take
   * effect, no client is dropped. changed names the keys whose new values are in effect, needsRestart those that
   * wait for the next start. A file that is not good changes nothing. For administrators.
   */
  Reload: { in: ReloadIn; out: ReloadOut }
  /** Until the next start or Reload. For administrators. */
  SetLogLevel: { in: SetLogLevelIn; out: SetLogLevelOut }
  /**
   * First the state (kind snapshot, in batches; its last has snapshotEnd), then each change as it happens.
   * A viewer too slow to keep up loses events and is told how many by missed. mine: only what concerns the
   * caller's own process.
   */
  Watch: { in: WatchIn; out: WatchOut }
  ListClients: { in: ListClientsIn; out: ListClientsOut }
}

export type BrokerMethodName = keyof BrokerMethods

export const brokerMethodNames: readonly BrokerMethodName[] = [
  'GetStatus',
  'ListRanges',
  'ListAllocations',
  'GetAllocation',
  'Allocate',
  'Grow',
  'SetMetadata',
  'Share',
  'CreateMapping',
  'RevokeMapping',
  'Release',
  'Claim',
  'Freeze',
  'Thaw',
  'Verify',
  'MarkPoisoned',
  'ListPoisoned',
  'GetRecovery',
  'GetStatistics',
  'ReadAllocation',
  'OpenConsole',
  'Reload',
  'SetLogLevel',
  'Watch',
  'ListClients',
]

/** Parameters of each error. */
export interface BrokerErrors {
  /** Nothing of that name or number that the caller may see. kind: allocation, mapping, range. */
  NotFound: {
    kind: string
    name: string
  }
  /** The name is in use. */
  NameTaken: {
    name: string
  }
  /** A value outside what the method takes; reason is a sentence. */
  InvalidArgument: {
    parameter: string
    reason: string
  }
  /** The range can't serve the request. largestFreeBytes tells fragmentation from exhaustion. */
  NoSpace: {
    range: string
    requestedBytes: number
    freeBytes: number
    largestFreeBytes: number
  }
  QuotaExceeded: {
    uid: number
    resource: 'bytes' | 'allocations' | 'mappings'
    limit: number
    used: number
    requested: number
  }
  PermissionDenied: {
    reason: string
  }
  /** Another living process holds it. */
  AlreadyClaimed: {
    name: string
    pid: number
  }
  /** The caller's process does not hold it; Claim first. */
  NotClaimed: {
    name: string
  }
  Frozen: {
    reason: string
  }
  RangeReadOnly: {
    range: string
    reason: string
  }
  /** The allocation table has no room for the change. */
  TableFull: {
    range: string
    stateBytesMax: number
  }
  /** A limit of the protocol or the configuration, by name. */
  LimitExceeded: {
    limit: string
    max: number
  }
  /** The same object is being changed by another call. */
  Busy: {
    name: string
    operation: string
  }
  /** The configuration does not start the debug console. */
  ConsoleOff: Record<string, never>
  /** The configuration file is not good; the running configuration stays. */
  ConfigInvalid: {
    reason: string
  }
  /** The source could not do it: what, and the system's error. */
  SourceFailed: {
    range: string
    operation: string
    code: string
    reason: string
  }
}

export type BrokerErrorName = keyof BrokerErrors

export const brokerErrorNames: readonly BrokerErrorName[] = [
  'NotFound',
  'NameTaken',
  'InvalidArgument',
  'NoSpace',
  'QuotaExceeded',
  'PermissionDenied',
  'AlreadyClaimed',
  'NotClaimed',
  'Frozen',
  'RangeReadOnly',
  'TableFull',
  'LimitExceeded',
  'Busy',
  'ConsoleOff',
  'ConfigInvalid',
  'SourceFailed',
]

/** The text of the interface, for GetInterfaceDescription. */
export const brokerDescription = `# The wire contract of membroker: memory of a reserved range, handed out as mmap-able file descriptors.
#
# Sizes, offsets and lengths are bytes; times are milliseconds since the Unix epoch; every integer lies in
# -(2^53-1) .. 2^53-1. A field named fileDescriptor is an index into the array of file descriptors that came
# with the same message (SCM_RIGHTS). Requests never carry file descriptors. WIRE.md beside this file has a
# card for each method with example bytes.
#
# Identity is the socket's (SO_PEERCRED, SO_PEERPIDFD), taken once at connect, and never a field of a message.
# A reply is sent after its change is in the range's allocation table, so what was answered survives SIGKILL
# of the broker, and kexec where the source says so.
interface io.membroker.Broker

# What a source can really do.
#   fdBound: what keeps a descriptor inside its allocation: the kernel device, a file of its own, or nothing
#   forcedRevoke: the broker can end a mapping under a holder that does not cooperate
#   survivesBroker, survivesKexec: contents and table outlive the broker process, the kernel
#   directMap: the kernel itself keeps this memory in its direct map
type Capabilities (
  fdBound: (kernel, file, none),
  forcedRevoke: bool,
  survivesBroker: bool,
  survivesKexec: bool,
  directMap: bool,
  pageBytes: int
)

# A reserved range. base is the physical address where the source has one. Free memory is freeBytes, of which
# largestFreeBytes can be had in one extent; scrubbingBytes and quarantinedBytes are retired, not yet free;
# poisonedBytes are bad memory that nobody is given again, apart from what a living allocation still has of it.
# A readOnly range serves what it holds and refuses every change; reason says why.
type Range (
  name: string,
  source: string,
  state: (online, readOnly),
  reason: ?string,
  base: ?int,
  node: ?int,
  bytes: int,
  freeBytes: int,
  largestFreeBytes: int,
  freeExtents: int,
  allocatedBytes: int,
  quarantinedBytes: int,
  scrubbingBytes: int,
  poisonedBytes: int,
  alignBytes: int,
  allocations: int,
  table: TableStatus,
  capabilities: Capabilities
)

# How full the allocation table is, and what the last writer left in it.
type TableStatus (
  epoch: int,
  sequence: int,
  stateBytes: int,
  stateBytesMax: int,
  recovery: (fresh, sameBoot, newBoot, unreadable)
)

# A piece of a range: offset from the range's start.
type Extent (
  offset: int,
  length: int
)

# The right of another uid to map an allocation.
type ShareRight (
  uid: int,
  access: (read, readWrite)
)

# Memory retired from use: its allocation is gone, its bytes are not yet anybody's. scrubbedBytes of them are
# zeroed by now.
type Retired (
  id: int,
  range: string,
  allocation: string,
  uid: int,
  bytes: int,
  extents: []Extent,
  scrubbedBytes: int,
  state: (scrubbing, quarantined),
  reason: string,
  holders: []int
)

# A named, owned, persisted set of extents. holderPid is the living process that allocated or claimed it.
# metadata belongs to the owner, the broker only keeps it. verdict: what is known of the contents (see Verify).
type Allocation (
  id: int,
  name: string,
  range: string,
  uid: int,
  bytes: int,
  alignBytes: int,
  extents: []Extent,
  metadata: ?object,
  secret: bool,
  shares: []ShareRight,
  mappings: int,
  holderPid: ?int,
  verdict: (intact, changed, poisoned, unverified)
)

# One process' right to map part of an allocation. offset and length are within the allocation.
# held: its process lives; dormant: it is gone, and the layout waits to be claimed; revoking: being taken back.
type Mapping (
  id: int,
  allocation: string,
  offset: int,
  length: int,
  access: (read, readWrite),
  guestAddress: ?int,
  metadata: ?object,
  uid: int,
  pid: ?int,
  state: (held, dormant, revoking)
)

# A mapping with its descriptor. Where the descriptor covers the whole allocation (capability fdBound: file),
# mmapOffset is where in the descriptor the mapping starts.
type Grant (
  mapping: Mapping,
  fileDescriptor: int,
  mmapOffset: int
)

# Bad memory: a piece of a range, relative to its start, and the allocation that has it, if any.
type Poison (
  range: string,
  offset: int,
  length: int,
  allocation: ?string,
  seenAt: int,
  origin: (kernel, scrub, operator, owner)
)

# What a range's broker found when it started: the kernel before (previousBootId; null: none is known), which of
# the two checkpoint copies of the table was the newest good one and how many journal entries were replayed on it,
# how many allocations were there, how many of those nobody has claimed since, and what it had to say.
type Recovery (
  range: string,
  kind: (fresh, sameBoot, newBoot, unreadable),
  bootId: string,
  previousBootId: ?string,
  startedAt: int,
  tookMs: int,
  checkpoint: ?int,
  replayed: int,
  epoch: int,
  sequence: int,
  allocations: int,
  unclaimed: int,
  findings: []string
)

# Calls of a method since the broker started. latency counts them by time in the broker, from parsed request to
# queued reply: latency[i] are those of less than bucketsMicroseconds[i] (of GetStatistics) and not less than
# bucketsMicroseconds[i-1]; one more, last, has the rest.
type MethodStatistics (
  method: string,
  calls: int,
  errors: int,
  totalMicroseconds: int,
  latency: []int
)

# A connected process, and what it holds.
type Client (
  id: int,
  pid: int,
  uid: int,
  gid: int,
  command: string,
  connectedAt: int,
  calls: int,
  watching: bool,
  allocations: int,
  mappings: int
)

# An owner's quota and what it uses. Retired memory stays charged until it is free.
type Usage (
  uid: int,
  bytes: int,
  bytesMax: int,
  allocations: int,
  allocationsMax: int,
  mappings: int,
  mappingsMax: int
)

# A change. sequence counts up by one per change since the broker started.
type Event (
  sequence: int,
  time: int,
  kind: (
    allocated, grown, changed, claimed, released,
    mapped, revokeRequested, revokeStep, revoked, dormant,
    retired, quarantined, reclaimed, tampered, poisoned, verified,
    connected, disconnected, frozen, thawed, range, reloaded
  ),
  allocation: ?string,
  mapping: ?int,
  range: ?string,
  uid: ?int,
  pid: ?int,
  offset: ?int,
  bytes: ?int,
  access: ?(read, readWrite),
  guestAddress: ?int,
  deadline: ?int,
  detail: ?string
)

# The broker at a glance.
method GetStatus() -> (
  version: string,
  pid: int,
  bootId: string,
  startedAt: int,
  frozen: ?string,
  ranges: int,
  allocations: int,
  unclaimed: int,
  mappings: int,
  clients: int,
  clientsMax: int,
  retired: []Retired,
  usage: []Usage
)

method ListRanges() -> (ranges: []Range)

# Allocations the caller may see (its own, those shared with it, all for an administrator), in order of id,
# after the given id, at most limit (default and most: 256). next is set when there are more.
method ListAllocations(prefix: ?string, after: ?int, limit: ?int) -> (allocations: []Allocation, next: ?int)

method GetAllocation(name: string) -> (allocation: Allocation, mappings: []Mapping)

# Reserve memory under a name. bytes is rounded up to the range's alignBytes. alignBytes asks for more than
# that. Unless contiguous is set, memory may come in several extents when no single one is large enough. node asks
# for memory of that NUMA node: ranges of other nodes, and those that know none, are left out.
# uid allocates for another owner (administrators only). The caller becomes the holder, unless uid is another's.
method Allocate(
  name: string,
  bytes: int,
  alignBytes: ?int,
  range: ?string,
  node: ?int,
  contiguous: ?bool,
  metadata: ?object,
  secret: ?string,
  uid: ?int
) -> (allocation: Allocation)

# Make an allocation larger; what it holds stays where it is.
method Grow(name: string, bytes: int, secret: ?string) -> (allocation: Allocation)

# Replace the owner's metadata; null removes it.
method SetMetadata(name: string, metadata: ?object, secret: ?string) -> (allocation: Allocation)

# Let another uid map an allocation. access null ends the right; mappings already made are revoked by RevokeMapping.
method Share(name: string, uid: int, access: ?(read, readWrite), secret: ?string) -> (allocation: Allocation)

# A descriptor for part of an allocation that the caller holds or that is shared with its uid.
# Defaults: the whole allocation, readWrite. guestAddress and metadata are kept for Claim.
method CreateMapping(
  name: string,
  offset: ?int,
  length: ?int,
  access: ?(read, readWrite),
  guestAddress: ?int,
  metadata: ?object,
  secret: ?string
) -> (grant: Grant)

# End a mapping. From its own process: it has unmapped and closed. From the owner or an administrator: the holder
# is asked (event revokeRequested), given graceMs, and then the range's policy decides: killed, or left.
# revoked: proved that no descriptor and no mapping of it remain, or, given back by its own process while others
# rightly hold the allocation, that only those have it open. quarantined: no proof yet; the mapping stays in state
# revoking until there is one. With more, each step of the way is a reply of its own.
method RevokeMapping(mapping: int, graceMs: ?int, secret: ?string) -> (
  outcome: (pending, revoked, quarantined),
  step: string
)

# End an allocation: its mappings are revoked as by RevokeMapping, its memory is scrubbed and freed.
# quarantined: the name is free again, the memory only when its last holder is gone.
method Release(name: string, graceMs: ?int, secret: ?string) -> (
  outcome: (pending, released, quarantined),
  step: string
)

# Take up one's allocations again after the client, the broker or the kernel was replaced. Either name, or prefix
# with more: one reply per allocation, in order of id. The caller becomes the holder and gets a descriptor for
# each dormant mapping of its uid. Mappings of allocations only shared with the caller come back the same way.
# nothing: no allocation matches. With a prefix, what can't be claimed is reported and the others go on.
method Claim(name: ?string, prefix: ?string, secret: ?string) -> (
  outcome: (claimed, held, refused, unavailable, nothing),
  detail: ?string,
  allocation: ?Allocation,
  grants: []Grant
)

# Refuse every change of every table until Thaw, across restarts of the broker. A new boot ends a freeze.
# digests: record what every allocation holds, for Verify; all who write to them must have stopped. With more,
# replies tell how far that is; frozen is the last. The freeze itself stands from the first reply on, and stays when
# the caller goes away; the digests taken so far do too, and Freeze with digests may be called again. Thaw ends them.
method Freeze(reason: ?string, digests: ?bool) -> (
  outcome: (pending, frozen),
  digestedBytes: int,
  totalBytes: int
)
method Thaw() -> ()

# Compare what allocations hold with the digests of the last freeze: all, or those under prefix; one reply for each
# in order of id (outcome verified, with its verdict), and with more, between them how far it is. An allocation has
# no digest (verdict unverified) if it was not there, or was claimed or mapped for writing, or grown, since. Memory that
# can't be read enters the ledger of bad memory (verdict poisoned). For administrators, also while the broker is frozen.
method Verify(prefix: ?string) -> (
  outcome: (pending, verified, nothing),
  name: ?string,
  verdict: ?(intact, changed, poisoned, unverified),
  detail: ?string,
  verifiedBytes: int,
  totalBytes: int
)

# This memory is bad: an allocation's, told by who may map it (a machine check: SIGBUS with BUS_MCEERR_AO or _AR), or
# a range's, told by an administrator. offset and length are in the allocation, or in the range, and grow to whole
# pages of the source. Once nobody has it any more it is never handed out again, also not after kexec. Where the kernel
# chooses the pages (directory, memfd), nothing enters the ledger, and only the verdict says it. Also while frozen.
method MarkPoisoned(name: ?string, range: ?string, offset: int, length: int, secret: ?string) -> (
  poisoned: []Poison
)

# The ledger of bad memory, in order of range and offset. For administrators.
method ListPoisoned() -> (poisoned: []Poison)

# What happened at the broker's start, for each range. For administrators.
method GetRecovery() -> (recoveries: []Recovery)

# Counters since the broker's start; read twice, they give rates. For administrators. connections: all that there
# have been. eventsMissed: events that viewers were too slow for.
method GetStatistics() -> (
  time: int,
  bucketsMicroseconds: []int,
  methods: []MethodStatistics,
  connections: int,
  events: int,
  eventsMissed: int,
  scrubbedBytes: int,
  digestedBytes: int,
  residentBytes: int,
  cpuMicroseconds: int
)

# Bytes of an allocation, as base64, at most 16 KiB at once, for looking at what is there. For administrators, and
# only where the configuration says raw_view = true; each use is logged.
method ReadAllocation(name: string, offset: int, length: int) -> (data: string)

# The address of the debug console, with the token that opens it. For administrators.
method OpenConsole() -> (url: string)

# Read the configuration again (as SIGHUP does): owners, quotas, administrators, revocation and log level take
# effect, no client is dropped. changed names the keys whose new values are in effect, needsRestart those that
# wait for the next start. A file that is not good changes nothing. For administrators.
method Reload() -> (changed: []string, needsRestart: []string)

# Until the next start or Reload. For administrators.
method SetLogLevel(level: (trace, debug, info, warn, error, silent)) -> ()

# First the state (kind snapshot, in batches; its last has snapshotEnd), then each change as it happens.
# A viewer too slow to keep up loses events and is told how many by missed. mine: only what concerns the
# caller's own process.
method Watch(mine: ?bool) -> (
  allocations: ?[]Allocation,
  mappings: ?[]Mapping,
  snapshotEnd: ?bool,
  event: ?Event,
  missed: ?int
)

method ListClients() -> (clients: []Client)

# Nothing of that name or number that the caller may see. kind: allocation, mapping, range.
error NotFound (kind: string, name: string)
# The name is in use.
error NameTaken (name: string)
# A value outside what the method takes; reason is a sentence.
error InvalidArgument (parameter: string, reason: string)
# The range can't serve the request. largestFreeBytes tells fragmentation from exhaustion.
error NoSpace (range: string, requestedBytes: int, freeBytes: int, largestFreeBytes: int)
error QuotaExceeded (uid: int, resource: (bytes, allocations, mappings), limit: int, used: int, requested: int)
error PermissionDenied (reason: string)
# Another living process holds it.
error AlreadyClaimed (name: string, pid: int)
# The caller's process does not hold it; Claim first.
error NotClaimed (name: string)
error Frozen (reason: string)
error RangeReadOnly (range: string, reason: string)
# The allocation table has no room for the change.
error TableFull (range: string, stateBytesMax: int)
# A limit of the protocol or the configuration, by name.
error LimitExceeded (limit: string, max: int)
# The same object is being changed by another call.
error Busy (name: string, operation: string)
# The configuration does not start the debug console.
error ConsoleOff ()
# The configuration file is not good; the running configuration stays.
error ConfigInvalid (reason: string)
# The source could not do it: what, and the system's error.
error SourceFailed (range: string, operation: string, code: string, reason: string)
`
