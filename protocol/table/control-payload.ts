import { type ControlRecord, freezeId, updateId } from './entity'
import { RecordInvalid } from './errors'
import { freezePayload } from './freeze-payload'
import type { PayloadCodec } from './payload'
import { updatePayload } from './update-payload'

/** What each control record is, its key says. */
export const controlPayload: PayloadCodec<ControlRecord> = {
  bytes(value) {
    return value.id === freezeId ? freezePayload.bytes(value) : updatePayload.bytes(value)
  },

  encode(writer, value, context) {
    if (value.id === freezeId) freezePayload.encode(writer, value, context)
    else updatePayload.encode(writer, value, context)
  },

  decode(reader, id, context) {
    if (id === freezeId) return freezePayload.decode(reader, id, context)
    if (id === updateId) return updatePayload.decode(reader, id, context)
    throw new RecordInvalid(`unknown control record ${id}`)
  },
}
