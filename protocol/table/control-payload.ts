import {
  type ControlRecord,
  type FreezeRecord,
  freezeId,
  outcomeIdMin,
  reportId,
  type UpdateRecord,
  updateId,
} from './entity'
import { RecordInvalid } from './errors'
import { reasonBytesMax } from './layout'
import { checkEpoch, decodeText, type PayloadCodec, textBytes } from './payload'
import { outcomePayload, reportPayload } from './report-payload'
import { utf8Bytes } from './text'

const flagUpdate = 1

/** Ends with the boot that it was made in. */
const freezePayload: PayloadCodec<FreezeRecord> = {
  bytes(value) {
    return (value.update === null ? 24 : 32) + utf8Bytes(value.reason)
  },

  encode(writer, value, context) {
    const reasonBytes = textBytes(value.reason, reasonBytesMax)
    writer.u64(context.epoch)
    writer.u64(value.sinceMs)
    writer.u32(value.uid)
    writer.u16(reasonBytes)
    writer.u8(value.update === null ? 0 : flagUpdate)
    writer.zeros(1)
    if (value.update !== null) writer.u64(value.update)
    writer.text(value.reason)
  },

  decode(reader, _id, context) {
    const epoch = checkEpoch(reader.u64(), context)
    const sinceMs = reader.u64()
    const uid = reader.u32()
    const reasonBytes = reader.u16()
    const flags = reader.u8()
    if (flags & ~flagUpdate) throw new RecordInvalid(`unknown flags ${flags} of a freeze`)
    reader.zeros(1)
    const update = flags & flagUpdate ? reader.u64() : null
    const reason = decodeText(reader, reasonBytes, reasonBytesMax)
    return epoch < context.bootEpoch ? undefined : { id: freezeId, update, reason, uid, sinceMs }
  },
}

const updateStates = [null, 'preparing', 'proceeding'] as const

/** Ends with the boot, too. */
const updatePayload: PayloadCodec<UpdateRecord> = {
  bytes(value) {
    return 40 + utf8Bytes(value.reason)
  },

  encode(writer, value, context) {
    const reasonBytes = textBytes(value.reason, reasonBytesMax)
    writer.u64(context.epoch)
    writer.u64(value.number)
    writer.u64(value.sinceMs)
    writer.u64(value.deadlineMs)
    writer.u32(value.uid)
    writer.code(value.state, updateStates)
    writer.zeros(1)
    writer.u16(reasonBytes)
    writer.text(value.reason)
  },

  decode(reader, _id, context) {
    const epoch = checkEpoch(reader.u64(), context)
    const number = reader.u64()
    const sinceMs = reader.u64()
    const deadlineMs = reader.u64()
    const uid = reader.u32()
    const state = reader.code(updateStates)
    reader.zeros(1)
    const reason = decodeText(reader, reader.u16(), reasonBytesMax)
    if (epoch < context.bootEpoch) return undefined
    return { id: updateId, number, state, reason, uid, sinceMs, deadlineMs }
  },
}

/** The key of a control record says what it is. */
function codecOf(id: number): PayloadCodec<ControlRecord> {
  if (id === freezeId) return freezePayload as PayloadCodec<ControlRecord>
  if (id === updateId) return updatePayload as PayloadCodec<ControlRecord>
  if (id === reportId) return reportPayload as PayloadCodec<ControlRecord>
  if (id >= outcomeIdMin) return outcomePayload as PayloadCodec<ControlRecord>
  throw new RecordInvalid(`unknown control record ${id}`)
}

export const controlPayload: PayloadCodec<ControlRecord> = {
  bytes: value => codecOf(value.id).bytes(value),
  encode: (writer, value, context) => codecOf(value.id).encode(writer, value, context),
  decode: (reader, id, context) => codecOf(id).decode(reader, id, context),
}
