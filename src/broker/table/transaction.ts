import {
  type Change,
  type Crc32c,
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

/** Encodes a journal entry, and proves that it reads back as the same changes. */
export class TransactionEncoder {
  private readonly context: RecordContext
  private readonly crc32c: Crc32c
  private writer = new FieldWriter(Buffer.alloc(4096))
  private reader = new FieldReader(this.writer.buffer)

  constructor(context: RecordContext, crc32c: Crc32c) {
    this.context = context
    this.crc32c = crc32c
  }

  /** Begins with the entry of the last encode(), and has a zero word after it. */
  get buffer(): Buffer {
    return this.writer.buffer
  }

  /**
   * Returns the changes as a reader will see them. The caller makes the state of these, so that memory and table can't differ.
   * @throws RecordInvalid
   */
  encode(sequence: number, changes: readonly Change[], entryBytes: number): readonly Change[] {
    this.makeRoom(entryBytes + wordBytes)
    const { writer, reader } = this
    encodeEntry(writer, entryBytes, sequence, changes, this.context, this.crc32c)
    writer.position = entryBytes
    writer.zeros(wordBytes)
    reader.end = entryBytes
    const decoded = decodeFresh(reader, this.context).changes
    for (let index = 0; index < changes.length; index++) {
      if (!sameValue(changes[index], decoded[index])) {
        throw new RecordInvalid(`a change would not read back as it is: ${JSON.stringify(changes[index])}`)
      }
    }
    return decoded
  }

  private makeRoom(bytes: number): void {
    if (this.buffer.length >= bytes) return
    this.writer = new FieldWriter(Buffer.alloc(2 ** Math.ceil(Math.log2(bytes))))
    this.reader = new FieldReader(this.buffer)
  }
}

function checkNewId(kind: EntityKind, id: number, idsBefore: Readonly<IdsUsed>): void {
  if (isCounted(kind) && id <= idsBefore[kind]) {
    throw new RecordInvalid(`${kind} ${id} was used before; ids up to ${idsBefore[kind]} were`)
  }
}
