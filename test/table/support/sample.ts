import type {
  AllocationRecord,
  Change,
  FreezeRecord,
  MappingRecord,
  OutcomeRecord,
  PoisonRecord,
  RangeIdentity,
  ReportRecord,
  RetiredRecord,
  TableView,
  UpdateRecord,
} from '../../../protocol/table'

export const MiB = 1024 * 1024
export const sampleUuid = '00112233445566778899aabbccddeeff'
export const bootA = 'a'.repeat(32)
export const bootB = 'b'.repeat(32)
export const bootC = 'c'.repeat(32)
export const sampleIdentity: RangeIdentity = {
  source: 'devdax',
  base: 0x4000_0000,
  bytes: 2 ** 50,
  alignBytes: 2 * MiB,
}

/** A format with room for few commits, so that checkpoints come soon. */
export const smallTable = { uuid: sampleUuid, bootId: bootA, tableBytes: 32 * 1024, journalBytes: 4096 }

export function allocation(id: number, change: Partial<AllocationRecord> = {}): AllocationRecord {
  return {
    id,
    name: `vm-${id}/ram`,
    uid: 1000 + (id % 7),
    bytes: 4 * MiB,
    alignBytes: 2 * MiB,
    extents: [{ offset: id * 8 * MiB, length: 4 * MiB }],
    secret: id % 3 ? null : { salt: '0f'.repeat(16), hash: 'a5'.repeat(32) },
    metadata: id % 2 ? null : JSON.stringify({ vm: `göst-${id}`, slot: id }),
    shares: id % 5 ? [] : [{ uid: 77, access: 'read' }],
    holder: id % 4 ? { pid: 100 + id, start: 123456789 + id } : null,
    successor: id % 8 === 1 ? { pid: 200 + id, start: 223456789 + id } : null,
    verdict: 'unverified',
    digest: id % 6 ? null : '5c'.repeat(32),
    ...change,
  }
}

export function mapping(id: number, change: Partial<MappingRecord> = {}): MappingRecord {
  return {
    id,
    allocationId: 1,
    offset: 0,
    length: 2 * MiB,
    access: id % 2 ? 'read' : 'readWrite',
    guestAddress: id % 3 ? id * 4096 : null,
    metadata: id % 4 ? null : JSON.stringify({ slot: id }),
    uid: 1001,
    holder: { pid: 4000 + id, start: 2 ** 40 + id },
    replaces: id % 11 === 7 ? id - 1 : null,
    state: 'held',
    ...change,
  }
}

export function retired(id: number): RetiredRecord {
  return {
    id,
    allocationId: id,
    name: `gone-${id}`,
    uid: 1000,
    extents: [{ offset: id * 2 * MiB, length: 2 * MiB }],
    state: id % 2 ? 'scrubbing' : 'quarantined',
    reason: 'pid 4711 may have pinned pages',
  }
}

export const samplePoison: PoisonRecord = {
  id: 6 * MiB,
  length: 4096,
  seenAtMs: 1_700_000_000_000,
  origin: 'kernel',
}
export const sampleFreeze: FreezeRecord = {
  id: 0,
  update: null,
  reason: 'live update',
  uid: 0,
  sinceMs: 1_700_000_000_000,
}

export const sampleUpdate: UpdateRecord = {
  id: 2,
  number: 1_700_000_000_001,
  state: 'preparing',
  reason: 'kernel 6.12',
  uid: 1000,
  sinceMs: 1_700_000_000_000,
  deadlineMs: 123_456,
}

export const sampleReport: ReportRecord = {
  id: 3,
  number: 1_700_000_000_001,
  outcome: 'cancelled',
  uid: 1000,
  reason: 'kernel 6.12',
  detail: 'vm-b was late',
  participants: 2,
  ready: 1,
  begunMs: 1_700_000_000_001,
  deadlineMs: 30_000,
  readyMs: 0,
  frozenMs: 1_700_000_000_003,
  proceededMs: 1_700_000_000_004,
  cancelledMs: 1_700_000_000_005,
  kernelMs: 1_700_000_000_006,
  brokerMs: 1_700_000_000_007,
  servingMs: 1_700_000_000_008,
}

export function sampleOutcome(id: number, more: Partial<OutcomeRecord> = {}): OutcomeRecord {
  const resumed = { pausedAt: 1, savedAt: 2, startedAt: 3, claimedAt: 4, loadedAt: 5, runningAt: 6 }
  return {
    id,
    update: sampleReport.number,
    uid: 1000,
    name: `vm-${id}`,
    state: 'ready',
    answeredAfterMs: 0,
    detail: '',
    resumed,
    ...more,
  }
}

/** Every field of a state, independent of order. */
export function snapshot(state: TableView): string {
  return JSON.stringify(
    [state.allocations, state.mappings, state.retired, state.poison, state.control].map(entities =>
      [...entities.values()].sort((a, b) => a.id - b.id),
    ),
  )
}

/** Numbers in [0, 1) that a seed replays. */
export function randomFrom(seed: number): () => number {
  let x = seed >>> 0 || 1
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>> 0) / 2 ** 32
  }
}

/** What a broker may have to say of an allocation's contents. */
function randomWord(random: () => number): Pick<AllocationRecord, 'verdict' | 'digest'> {
  const verdicts = ['unverified', 'intact', 'changed', 'poisoned'] as const
  return {
    verdict: verdicts[Math.floor(random() * verdicts.length)]!,
    digest:
      random() < 0.5
        ? null
        : Math.floor(random() * 16)
            .toString(16)
            .repeat(64),
  }
}

/** What a record is in another boot: nobody holds it, and nothing was compared in it. */
export function inAnotherBoot<T extends { holder: unknown; verdict?: unknown }>(record: T): T {
  const verdict = record.verdict === 'intact' ? { verdict: 'unverified' } : {}
  return { ...record, ...verdict, holder: null, ...('successor' in record && { successor: null }) }
}

/** A plausible transaction over state: new, changed and deleted entities of every kind, each at most once. */
export function randomTransaction(
  state: TableView,
  nextId: (kind: 'allocation' | 'mapping' | 'retired') => number,
  random: () => number,
): Change[] {
  const pick = <T>(values: Iterable<T>): T | undefined => {
    const all = [...values]
    return all[Math.floor(random() * all.length)]
  }
  const changes: Change[] = []
  const roll = random()
  const some = pick(state.allocations.values())
  const someMapping = pick(state.mappings.values())
  if (roll < 0.3) changes.push({ put: 'allocation', value: allocation(nextId('allocation')) })
  else if (roll < 0.4 && some) {
    changes.push({
      put: 'allocation',
      value: { ...some, metadata: 'x'.repeat(Math.floor(random() * 60)), ...randomWord(random) },
    })
  } else if (roll < 0.55 && some) {
    changes.push(
      { delete: 'allocation', key: some.id },
      { put: 'retired', value: retired(nextId('retired')) },
    )
  }
  const more = random()
  if (more < 0.4) changes.push({ put: 'mapping', value: mapping(nextId('mapping')) })
  else if (more < 0.7 && someMapping) changes.push({ delete: 'mapping', key: someMapping.id })
  else if (more < 0.8 && someMapping)
    changes.push({
      put: 'mapping',
      value: { ...someMapping, holder: null, replaces: null, state: 'dormant' },
    })
  if (random() < 0.3) {
    const gone = pick(state.retired.values())
    if (gone) changes.push({ delete: 'retired', key: gone.id })
  }
  if (random() < 0.1)
    changes.push({
      put: 'poison',
      value: {
        ...samplePoison,
        id: Math.floor(random() * 4) * 2 * MiB,
        seenAtMs: Math.floor(random() * 2 ** 40),
        origin: (['scrub', 'operator', 'owner'] as const)[Math.floor(random() * 3)]!,
      },
    })
  if (random() < 0.1)
    changes.push(
      state.control.has(0) ? { delete: 'control', key: 0 } : { put: 'control', value: sampleFreeze },
    )
  if (random() < 0.1) {
    const stage = random() < 0.5 ? 'preparing' : 'proceeding'
    const ends = random() < 0.5 && state.control.has(sampleUpdate.id)
    changes.push(
      ends
        ? { delete: 'control', key: sampleUpdate.id }
        : { put: 'control', value: { ...sampleUpdate, state: stage } },
    )
  }
  if (random() < 0.1) {
    const id = 256 + Math.floor(random() * 4)
    changes.push(
      { put: 'control', value: sampleReport },
      state.control.has(id) ? { delete: 'control', key: id } : { put: 'control', value: sampleOutcome(id) },
    )
  }
  return changes.length > 0 ? changes : [{ put: 'mapping', value: mapping(nextId('mapping')) }]
}
