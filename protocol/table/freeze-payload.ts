import { type FreezeRecord, freezeId } from './entity'
import { RecordInvalid } from './errors'
import { reasonBytesMax } from './layout'
import { checkEpoch, type PayloadCodec, textBytes } from './payload'

const fixedBytes = 24

export const freezePayload: PayloadCodec<FreezeRecord> = {
  bytes(value) {
    return fixedBytes + Buffer.byteLength(value.reason)
  },

  encode(writer, value, context) {
    const reasonBytes = textBytes(value.reason, reasonBytesMax)
    writer.u64(context.epoch)
    writer.u64(value.sinceMs)
    writer.u32(value.uid)
    writer.u32(reasonBytes)
    writer.text(value.reason)
  },

  decode(reader, _id, context) {
    const epoch = checkEpoch(reader.u64(), context)
    const sinceMs = reader.u64()
    const uid = reader.u32()
    const reasonBytes = reader.u32()
    if (reasonBytes > reasonBytesMax) throw new RecordInvalid(`reason of ${reasonBytes} bytes`)
    const reason = reader.text(reasonBytes)
    return epoch < context.bootEpoch ? undefined : { id: freezeId, reason, uid, sinceMs }
  },
}
