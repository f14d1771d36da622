import {
  type Change,
  type Crc32c,
  changeBytes,
  decodeFresh,
  type EntityKind,
  encodeEntry,
  entityBytes,
  entryHeaderBytes,
  type IdsUsed,
  isCounted,
  type RecordContext,
  RecordInvalid,
  sameValue,
  type TableState,
  wordBytes,
} from '../../../protocol/table'

/** Possible changes and their cost. Nothing is written yet. */
interface TransactionPlan {
  readonly entryBytes: number
  /** The bytes that the changes add to the state, or take from it. */
  readonly stateBytesDelta: number
}

/**
 * @throws RecordInvalid for a change that contradicts the state or another change. idsBefore: the highest ids used before this
 * writer. The writer may commit its own ids in any order, as sources make memory faster for one than for another. The writer
 * itself gives no id out twice.
 */
export function planTransaction(
  changes: readonly Change[],
  state: TableState,
  idsBefore: Readonly<IdsUsed>,
): TransactionPlan {
  let entryBytes = entryHeaderBytes
  let stateBytesDelta = 0
  const touched = changes.length > 1 ? new Set<string>() : undefined
  for (const change of changes) {
    const isDelete = 'delete' in change
    const kind = isDelete ? change.delete : change.put
    const id = isDelete ? change.key : change.value.id
    const former = state.entities(kind).get(id)
    const bytes = changeBytes(change)
    if (isDelete && !former) throw new RecordInvalid(`there is no ${kind} ${id} to delete`)
    if (!isDelete && !former) checkNewId(kind, id, idsBefore)
    if (touched && touched.size === touched.add(`${kind} ${id}`).size) {
      throw new RecordInvalid(`${kind} ${id} is changed twice in one transaction`)
    }
    entryBytes += bytes
    stateBytesDelta += (isDelete ? 0 : bytes) - (former ? entityBytes(kind, former) : 0)
  }
  return { entryBytes, stateBytesDelta }
}

/** Encodes a journal entry, and proves that it reads back as the same changes. */
export class TransactionEncoder {
  private readonly context: RecordContext
  private readonly crc32c: Crc32c
  private scratch = Buffer.alloc(4096)

  constructor(context: RecordContext, crc32c: Crc32c) {
    this.context = context
    this.crc32c = crc32c
  }

  /**
   * Returns the entry with a zero word after it, valid until the next call, and the changes as a reader will see them. The
   * caller makes the state of these, so that memory and table can't differ.
   * @throws RecordInvalid
   */
  encode(
    sequence: number,
    changes: readonly Change[],
    entryBytes: number,
  ): { entryAndEnd: Buffer; changes: readonly Change[] } {
    const bytes = entryBytes + wordBytes
    if (this.scratch.length < bytes) this.scratch = Buffer.alloc(2 ** Math.ceil(Math.log2(bytes)))
    const entry = this.scratch.subarray(0, entryBytes)
    encodeEntry(entry, sequence, changes, this.context, this.crc32c)
    const decoded = decodeFresh(entry, this.context)
    for (let index = 0; index < changes.length; index++) {
      if (!sameValue(changes[index], decoded.changes[index])) {
        throw new RecordInvalid(`a change would not read back as it is: ${JSON.stringify(changes[index])}`)
      }
    }
    this.scratch.fill(0, entryBytes, bytes)
    return { entryAndEnd: this.scratch.subarray(0, bytes), changes: decoded.changes }
  }
}

function checkNewId(kind: EntityKind, id: number, idsBefore: Readonly<IdsUsed>): void {
  if (isCounted(kind) && id <= idsBefore[kind]) {
    throw new RecordInvalid(`${kind} ${id} was used before; ids up to ${idsBefore[kind]} were`)
  }
}
