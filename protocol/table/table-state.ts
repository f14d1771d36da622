import type {
  AllocationRecord,
  Change,
  ControlRecord,
  CountedKind,
  Entity,
  EntityKind,
  MappingRecord,
  PoisonRecord,
  RetiredRecord,
} from './entity'

/** Read-only view of a table's contents, by id. */
export interface TableView {
  readonly allocations: ReadonlyMap<number, AllocationRecord>
  readonly mappings: ReadonlyMap<number, MappingRecord>
  readonly retired: ReadonlyMap<number, RetiredRecord>
  readonly poison: ReadonlyMap<number, PoisonRecord>
  readonly control: ReadonlyMap<number, ControlRecord>
}

/** Highest id ever used, also by an entity that is gone. */
export type IdsUsed = Record<CountedKind, number>

/** The state that a checkpoint and the journal's changes after it make. */
export class TableState implements TableView {
  readonly allocations = new Map<number, AllocationRecord>()
  readonly mappings = new Map<number, MappingRecord>()
  readonly retired = new Map<number, RetiredRecord>()
  readonly poison = new Map<number, PoisonRecord>()
  readonly control = new Map<number, ControlRecord>()
  readonly idsUsed: IdsUsed = { allocation: 0, mapping: 0, retired: 0 }

  entities(kind: EntityKind): Map<number, Entity> {
    switch (kind) {
      case 'allocation':
        return this.allocations
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

  /** Absolute and idempotent, so that replay over a newer value ends at the same state. */
  apply(change: Change): void {
    if ('delete' in change) {
      this.entities(change.delete).delete(change.key)
      // A void record counts too: nobody else may get its id.
      this.useId(change.delete, change.key)
    } else {
      this.entities(change.put).set(change.value.id, change.value)
      this.useId(change.put, change.value.id)
    }
  }

  private useId(kind: EntityKind, id: number): void {
    if (isCounted(kind) && id > this.idsUsed[kind]) this.idsUsed[kind] = id
  }

  useIds(used: IdsUsed): void {
    for (const kind of countedKinds) this.useId(kind, used[kind])
  }
}

export const countedKinds: readonly CountedKind[] = ['allocation', 'mapping', 'retired']

export function isCounted(kind: EntityKind): kind is CountedKind {
  return kind === 'allocation' || kind === 'mapping' || kind === 'retired'
}
