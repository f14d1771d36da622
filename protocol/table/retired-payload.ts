import type { RetiredRecord, RetiredState } from './entity'
import { RecordInvalid } from './errors'
import { nameBytesMax, reasonBytesMax } from './layout'
import {
  checkExtentCount,
  decodeExtents,
  decodeText,
  encodedExtentBytes,
  encodeExtents,
  type PayloadCodec,
  textBytes,
} from './payload'
import { utf8Bytes } from './text'

const fixedBytes = 24
const states: readonly (RetiredState | null)[] = [null, 'scrubbing', 'quarantined']

export const retiredPayload: PayloadCodec<RetiredRecord> = {
  bytes(value) {
    return (
      fixedBytes + value.extents.length * encodedExtentBytes + utf8Bytes(value.name) + utf8Bytes(value.reason)
    )
  },

  encode(writer, value, context) {
    const nameBytes = textBytes(value.name, nameBytesMax)
    const reasonBytes = textBytes(value.reason, reasonBytesMax)
    writer.u64(value.allocationId)
    writer.u32(value.uid)
    writer.code(value.state, states)
    writer.zeros(3)
    writer.u16(nameBytes)
    writer.u16(reasonBytes)
    writer.u16(checkExtentCount(value.extents.length))
    writer.u16(0)
    encodeExtents(writer, value.extents, context.rangeBytes)
    writer.text(value.name)
    writer.text(value.reason)
  },

  decode(reader, id, context) {
    const allocationId = reader.u64()
    const uid = reader.u32()
    const state = reader.code(states)
    reader.zeros(3)
    const nameBytes = reader.u16()
    const reasonBytes = reader.u16()
    const extentCount = checkExtentCount(reader.u16())
    reader.zeros(2)
    if (nameBytes < 1) throw new RecordInvalid('no name')
    const extents = decodeExtents(reader, extentCount, context.rangeBytes)
    const name = decodeText(reader, nameBytes, nameBytesMax)
    const reason = decodeText(reader, reasonBytes, reasonBytesMax)
    return { id, allocationId, name, uid, extents, state, reason }
  },
}
