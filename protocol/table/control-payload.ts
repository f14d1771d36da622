import { type ControlRecord, type FreezeRecord, freezeId, type UpdateRecord, updateId } from './entity'
import { RecordInvalid } from './errors'
import type { FieldReader } from './field-reader'
import type { FieldWriter } from './field-writer'
import { reasonBytesMax } from './layout'
import { checkEpoch, type PayloadCodec, textBytes } from './payload'

const freezeFixedBytes = 24
const updateFixedBytes = 40
const updateStates = [null, 'preparing', 'proceeding'] as const

/** What each control record is, its key says. All of them end with the boot that they were made in. */
export const controlPayload: PayloadCodec<ControlRecord> = {
  bytes(value) {
    const fixedBytes = value.id === freezeId ? freezeFixedBytes : updateFixedBytes
    return fixedBytes + Buffer.byteLength(value.reason)
  },

  encode(writer, value, context) {
    const reasonBytes = textBytes(value.reason, reasonBytesMax)
    writer.u64(context.epoch)
    if (value.id === freezeId) encodeFreeze(writer, value, reasonBytes)
    else encodeUpdate(writer, value, reasonBytes)
    writer.text(value.reason)
  },

  decode(reader, id, context) {
    const epoch = checkEpoch(reader.u64(), context)
    const record = decodeRecord(reader, id)
    return epoch < context.bootEpoch ? undefined : record
  },
}

function decodeRecord(reader: FieldReader, id: number): ControlRecord {
  if (id === freezeId) return decodeFreeze(reader)
  if (id === updateId) return decodeUpdate(reader)
  throw new RecordInvalid(`unknown control record ${id}`)
}

function encodeFreeze(writer: FieldWriter, { sinceMs, uid }: FreezeRecord, reasonBytes: number): void {
  writer.u64(sinceMs)
  writer.u32(uid)
  writer.u32(reasonBytes)
}

function decodeFreeze(reader: FieldReader): FreezeRecord {
  const sinceMs = reader.u64()
  const uid = reader.u32()
  return { id: freezeId, reason: decodeReason(reader, reader.u32()), uid, sinceMs }
}

function encodeUpdate(writer: FieldWriter, value: UpdateRecord, reasonBytes: number): void {
  writer.u64(value.number)
  writer.u64(value.sinceMs)
  writer.u64(value.deadlineMs)
  writer.u32(value.uid)
  writer.code(value.state, updateStates)
  writer.zeros(1)
  writer.u16(reasonBytes)
}

function decodeUpdate(reader: FieldReader): UpdateRecord {
  const number = reader.u64()
  const sinceMs = reader.u64()
  const deadlineMs = reader.u64()
  const uid = reader.u32()
  const state = reader.code(updateStates)
  reader.zeros(1)
  const reason = decodeReason(reader, reader.u16())
  return { id: updateId, number, state, reason, uid, sinceMs, deadlineMs }
}

function decodeReason(reader: FieldReader, bytes: number): string {
  if (bytes > reasonBytesMax) throw new RecordInvalid(`reason of ${bytes} bytes`)
  return reader.text(bytes)
}
