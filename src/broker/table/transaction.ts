import {
  type Change,
  changeBytes,
  decodeFresh,
  type EntityKind,
  encodeEntry,
  entryHeaderBytes,
  FieldReader,
  FieldWriter,
  type IdsUsed,
  isCounted,
  type RecordContext,
  RecordInvalid,
  sameChange,
  type TableState,
  wordBytes,
} from '../../../protocol/table'
import type { Stage, TableMedium } from './medium'

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
    const formerBytes = state.bytesOf(kind, id)
    const bytes = changeBytes(change)
    if (isDelete && formerBytes === 0) throw new RecordInvalid(`there is no ${kind} ${id} to delete`)
    if (!isDelete && formerBytes === 0) checkNewId(kind, id, idsBefore)
    if (touched && touched.size === touched.add(`${kind} ${id}`).size) {
      throw new RecordInvalid(`${kind} ${id} is changed twice in one transaction`)
    }
    entryBytes += bytes
    stateBytesDelta += (isDelete ? 0 : bytes) - formerBytes
  }
  return { entryBytes, stateBytesDelta }
}

/** Encodes a journal entry into a stage of the medium, and proves that it reads back as the same changes. */
export class TransactionEncoder {
  private readonly medium: TableMedium
  private readonly context: RecordContext
  private room: Room

  constructor(medium: TableMedium, context: RecordContext) {
    this.medium = medium
    this.context = context
    this.room = roomFor(medium, 4096)
  }

  /** Begins with the entry of the last encode(), without its CRC, and has a zero word after it. */
  get stage(): Stage {
    return this.room.stage
  }

  /** The same entry. */
  get entry(): FieldReader {
    return this.room.reader
  }

  /**
   * Returns the changes as a reader will see them. The caller makes the state of these, so that memory and table can't differ.
   * @throws RecordInvalid
   */
  encode(sequence: number, changes: readonly Change[], entryBytes: number): readonly Change[] {
    if (this.stage.bytes.length < entryBytes + wordBytes)
      this.room = roomFor(this.medium, entryBytes + wordBytes)
    const { writer, reader } = this.room
    encodeEntry(writer, entryBytes, sequence, changes, this.context)
    writer.position = entryBytes
    writer.zeros(wordBytes)
    reader.end = entryBytes
    const decoded = decodeFresh(reader, this.context)
    for (let index = 0; index < changes.length; index++) {
      if (!sameChange(changes[index]!, decoded[index]!)) {
        throw new RecordInvalid(`a change would not read back as it is: ${JSON.stringify(changes[index])}`)
      }
    }
    return decoded
  }
}

interface Room {
  readonly stage: Stage
  readonly writer: FieldWriter
  readonly reader: FieldReader
}

function roomFor(medium: TableMedium, bytes: number): Room {
  const stage = medium.stage(2 ** Math.ceil(Math.log2(bytes)))
  return { stage, writer: new FieldWriter(stage.bytes), reader: new FieldReader(stage.bytes) }
}

function checkNewId(kind: EntityKind, id: number, idsBefore: Readonly<IdsUsed>): void {
  if (isCounted(kind) && id <= idsBefore[kind]) {
    throw new RecordInvalid(`${kind} ${id} was used before; ids up to ${idsBefore[kind]} were`)
  }
}
