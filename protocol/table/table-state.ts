import { AllocationStore, recentMax } from './allocation-store'
import {
  type AllocationRecord,
  type Change,
  type ControlRecord,
  countedKinds,
  type Entity,
  type EntityKind,
  type IdsUsed,
  isCounted,
  type MappingRecord,
  type PoisonRecord,
  type Put,
  type RetiredRecord,
} from './entity'
import type { FieldReader } from './field-reader'
import type { FieldWriter } from './field-writer'
import { entryHeaderBytes } from './journal-entry'
import type { RecordContext } from './payload'
import { decodeChange, encodeChange, encodedBytes, entityBytes, featuresOf, passAllocation } from './record'

/** Entities by id. As with a Map, an iterator stays valid through changes, skips what is deleted and comes to what is added. */
export interface Entities<T> {
  readonly size: number
  has(id: number): boolean
  get(id: number): T | undefined
  keys(): IterableIterator<number>
  values(): IterableIterator<T>
}

/** Read-only view of a table's contents, by id. */
export interface TableView {
  readonly allocations: Entities<AllocationRecord>
  readonly mappings: ReadonlyMap<number, MappingRecord>
  readonly retired: ReadonlyMap<number, RetiredRecord>
  readonly poison: ReadonlyMap<number, PoisonRecord>
  readonly control: ReadonlyMap<number, ControlRecord>
}

const otherKinds = ['mapping', 'retired', 'poison', 'control'] as const satisfies EntityKind[]

/** The state that a checkpoint and the journal's changes after it make. */
export class TableState implements TableView {
  readonly allocations: AllocationStore
  readonly mappings = new Map<number, MappingRecord>()
  readonly retired = new Map<number, RetiredRecord>()
  readonly poison = new Map<number, PoisonRecord>()
  readonly control = new Map<number, ControlRecord>()
  readonly idsUsed: IdsUsed = { allocation: 0, mapping: 0, retired: 0 }

  constructor(context: RecordContext) {
    this.allocations = new AllocationStore(context)
  }

  /** What the records take of a table. */
  get bytes(): number {
    let { bytes } = this.allocations
    for (const kind of otherKinds)
      for (const value of this.others(kind).values()) bytes += entityBytes(kind, value)
    return bytes
  }

  /** What a reader must know to read them. */
  get features(): number {
    let { features } = this.allocations
    for (const kind of otherKinds)
      for (const value of this.others(kind).values()) features |= featuresOf(kind, value)
    return features
  }

  /** 0: it is not there. */
  bytesOf(kind: EntityKind, id: number): number {
    if (kind === 'allocation') return this.allocations.bytesOf(id)
    const value = this.others(kind).get(id)
    return value ? entityBytes(kind, value) : 0
  }

  *keys(): IterableIterator<[EntityKind, number]> {
    for (const id of this.allocations.keys()) yield ['allocation', id]
    for (const kind of otherKinds) for (const id of this.others(kind).keys()) yield [kind, id]
  }

  /** The writer must have bytesOf() left. */
  encode(kind: EntityKind, id: number, writer: FieldWriter, context: RecordContext): void {
    if (kind === 'allocation') this.allocations.copy(id, writer)
    else encodeChange(writer, { put: kind, value: this.others(kind).get(id) } as Put, context)
  }

  /** entry: begins with the reader's buffer. */
  applyEntry(changes: readonly Change[], entry: FieldReader): void {
    let at = entryHeaderBytes
    for (const change of changes) {
      this.apply(change, entry, at)
      at += encodedBytes(entry, at)
    }
  }

  /** Applies the record that the reader has next. Throws RecordInvalid. */
  load(reader: FieldReader, context: RecordContext): void {
    const at = reader.position
    // The first ones somebody asks for soon, so they are made at once: a start with a thousand would go through each twice.
    const id = this.allocations.size < recentMax ? undefined : passAllocation(reader, context)
    if (id === undefined) this.apply(decodeChange(reader, context), reader, at)
    else {
      this.allocations.adopt(id, reader, at, reader.position - at)
      this.useId('allocation', id)
    }
  }

  /**
   * Absolute and idempotent, so that replay over a newer value ends at the same state. encoded: has the bytes of the change, from
   * `at` on, if they are at hand.
   */
  apply(change: Change, encoded?: FieldReader, at?: number): void {
    if ('delete' in change) {
      if (change.delete === 'allocation') this.allocations.delete(change.key)
      else this.others(change.delete).delete(change.key)
      // A void record counts too: nobody else may get its id.
      this.useId(change.delete, change.key)
    } else {
      if (change.put === 'allocation') this.allocations.set(change.value, encoded, at)
      else this.others(change.put).set(change.value.id, change.value)
      this.useId(change.put, change.value.id)
    }
  }

  private useId(kind: EntityKind, id: number): void {
    if (isCounted(kind) && id > this.idsUsed[kind]) this.idsUsed[kind] = id
  }

  useIds(used: IdsUsed): void {
    for (const kind of countedKinds) this.useId(kind, used[kind])
  }

  private others(kind: Exclude<EntityKind, 'allocation'>): Map<number, Entity> {
    switch (kind) {
      case 'mapping':
        return this.mappings
      case 'retired':
        return this.retired
      case 'poison':
        return this.poison
      case 'control':
        return this.control
    }
  }
}
