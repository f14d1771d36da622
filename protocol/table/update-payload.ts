import { type UpdateRecord, updateId } from './entity'
import { RecordInvalid } from './errors'
import { reasonBytesMax } from './layout'
import { checkEpoch, type PayloadCodec, textBytes } from './payload'

const fixedBytes = 40

const states = [null, 'preparing', 'proceeding'] as const

export const updatePayload: PayloadCodec<UpdateRecord> = {
  bytes(value) {
    return fixedBytes + Buffer.byteLength(value.reason)
  },

  encode(writer, value, context) {
    const reasonBytes = textBytes(value.reason, reasonBytesMax)
    writer.u64(context.epoch)
    writer.u64(value.number)
    writer.u64(value.sinceMs)
    writer.u64(value.deadlineMs)
    writer.u32(value.uid)
    writer.code(value.state, states)
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
    const state = reader.code(states)
    reader.zeros(1)
    const reasonBytes = reader.u16()
    if (reasonBytes > reasonBytesMax) throw new RecordInvalid(`reason of ${reasonBytes} bytes`)
    const reason = reader.text(reasonBytes)
    if (epoch < context.bootEpoch) return undefined
    return { id: updateId, number, state, reason, uid, sinceMs, deadlineMs }
  },
}
