/**
 * The contents of a table. Every value is plain, immutable data; sizes and offsets in bytes, times in ms since the
 * epoch.
 */

/** A piece of the range: offset from the range's start. */
export interface Extent {
  readonly offset: number
  readonly length: number
}

type Access = 'read' | 'readWrite'

/**
 * A process of the running boot: start is field 22 of /proc/PID/stat, in clock ticks. The table forgets holders when the
 * boot changes, so a recycled pid never inherits anything.
 */
export interface Holder {
  readonly pid: number
  readonly start: number
}

/** Salt (16 bytes) and SHA-256 (32 bytes), both in lower-case hex. */
export interface SecretHash {
  readonly salt: string
  readonly hash: string
}

export interface ShareRecord {
  readonly uid: number
  readonly access: Access
}

export type Verdict = 'unverified' | 'intact' | 'changed' | 'poisoned'

/** id is never used again. metadata is JSON text; digest 32 bytes in lower-case hex. */
export interface AllocationRecord {
  readonly id: number
  readonly name: string
  readonly uid: number
  readonly bytes: number
  readonly alignBytes: number
  readonly extents: readonly Extent[]
  readonly secret: SecretHash | null
  readonly metadata: string | null
  readonly shares: readonly ShareRecord[]
  readonly holder: Holder | null
  /** The process that has joined the holder, and is to take its place. */
  readonly successor: Holder | null
  readonly verdict: Verdict
  readonly digest: string | null
}

export type MappingState = 'held' | 'dormant' | 'revoking'

/** offset and length are within the allocation. id is never used again. */
export interface MappingRecord {
  readonly id: number
  readonly allocationId: number
  readonly offset: number
  readonly length: number
  readonly access: Access
  readonly guestAddress: number | null
  readonly metadata: string | null
  readonly uid: number
  readonly holder: Holder | null
  /** The mapping whose place it takes when the hand-over completes; until then it is the successor's. */
  readonly replaces: number | null
  readonly state: MappingState
}

export type RetiredState = 'scrubbing' | 'quarantined'

/** Memory whose allocation is gone and which is not free yet. name and allocationId are those of the former allocation. */
export interface RetiredRecord {
  readonly id: number
  readonly allocationId: number
  readonly name: string
  readonly uid: number
  readonly extents: readonly Extent[]
  readonly state: RetiredState
  readonly reason: string
}

export type PoisonOrigin = 'kernel' | 'scrub' | 'operator' | 'owner'

/** Bad memory. id is its offset from the range's start. */
export interface PoisonRecord {
  readonly id: number
  readonly length: number
  readonly seenAtMs: number
  readonly origin: PoisonOrigin
}

export const freezeId = 0

/**
 * The freeze: present while one is on. Like holders, it ends with the boot that it was made in. update: the number of the
 * update that it belongs to, and ends with.
 */
export interface FreezeRecord {
  readonly id: typeof freezeId
  readonly update: number | null
  readonly reason: string
  readonly uid: number
  readonly sinceMs: number
}

export const updateId = 2

/**
 * The live update of the host: present while one is under way, and over with the boot. number tells one from the next;
 * deadlineMs is of CLOCK_MONOTONIC.
 */
export interface UpdateRecord {
  readonly id: typeof updateId
  readonly number: number
  readonly state: 'preparing' | 'proceeding'
  readonly reason: string
  readonly uid: number
  readonly sinceMs: number
  readonly deadlineMs: number
}

export const reportId = 3

/** The last update of the host, which outlives the boot. Times are of the wall clock; 0: it did not come to that. */
export interface ReportRecord {
  readonly id: typeof reportId
  readonly number: number
  readonly outcome: 'underWay' | 'cancelled' | 'replaced'
  readonly uid: number
  readonly reason: string
  /** Why it was called off. */
  readonly detail: string
  /** The number of participants that it waited for. Not all of them need have a record. */
  readonly participants: number
  readonly ready: number
  readonly begunMs: number
  readonly deadlineMs: number
  readonly readyMs: number
  readonly frozenMs: number
  readonly proceededMs: number
  readonly cancelledMs: number
  /** In the boot that followed: when its kernel started, its first broker, and when that served. */
  readonly kernelMs: number
  readonly brokerMs: number
  readonly servingMs: number
}

/** Records of participants have ids from here on, in any order. */
export const outcomeIdMin = 256

/** The outcome of one participant in the last update. */
export interface OutcomeRecord {
  readonly id: number
  readonly update: number
  readonly uid: number
  readonly name: string
  readonly state: 'asked' | 'ready' | 'failed' | 'late' | 'left'
  readonly answeredAfterMs: number | null
  readonly detail: string
  /** Its own report, once it runs again; 0: it did not say. */
  readonly resumed: ResumePhases | null
}

export interface ResumePhases {
  readonly pausedAt: number
  readonly savedAt: number
  readonly startedAt: number
  readonly claimedAt: number
  readonly loadedAt: number
  readonly runningAt: number
}

export type ControlRecord = FreezeRecord | UpdateRecord | ReportRecord | OutcomeRecord

interface EntityByKind {
  allocation: AllocationRecord
  mapping: MappingRecord
  retired: RetiredRecord
  poison: PoisonRecord
  control: ControlRecord
}

export type EntityKind = keyof EntityByKind
export type Entity = EntityByKind[EntityKind]

/** Kinds whose ids the table gives out, each once. */
export type CountedKind = 'allocation' | 'mapping' | 'retired'

export const countedKinds: readonly CountedKind[] = ['allocation', 'mapping', 'retired']

export function isCounted(kind: EntityKind): kind is CountedKind {
  return kind === 'allocation' || kind === 'mapping' || kind === 'retired'
}

/** Highest id ever used, also by an entity that is gone. */
export type IdsUsed = Record<CountedKind, number>

export type Put = { [K in EntityKind]: { readonly put: K; readonly value: EntityByKind[K] } }[EntityKind]

/** One entity's new value, whole, or its end. */
export type Change = Put | { readonly delete: EntityKind; readonly key: number }

/** Whether two plain values (numbers, strings, null, arrays and objects of them) are the same in every field. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  // Object.keys() would make an array for each, in every commit.
  let keys = 0
  for (const key in a) {
    if (!sameValue((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])) return false
    keys += 1
  }
  for (const _ in b) keys -= 1
  return keys === 0
}
