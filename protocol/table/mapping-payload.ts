import { type MappingRecord, type MappingState, sameValue } from './entity'
import { RecordInvalid } from './errors'
import { metadataBytesMax } from './layout'
import {
  accesses,
  decodeHolder,
  encodedHolderBytes,
  encodeHolder,
  hasFields,
  type PayloadCodec,
  textBytes,
} from './payload'
import { utf8Bytes } from './text'

const fixedBytes = 48 + encodedHolderBytes
const states: readonly (MappingState | null)[] = [null, 'held', 'dormant', 'revoking']

const guestAddressFlag = 1
const metadataFlag = 2
const replacesFlag = 4
const knownFlags = guestAddressFlag | metadataFlag | replacesFlag

export const mappingPayload: PayloadCodec<MappingRecord> = {
  bytes(value) {
    const replaces = value.replaces === null ? 0 : 8
    return fixedBytes + replaces + (value.metadata === null ? 0 : utf8Bytes(value.metadata))
  },

  encode(writer, value, context) {
    const metadataBytes = value.metadata === null ? 0 : textBytes(value.metadata, metadataBytesMax)
    writer.u64(value.allocationId)
    writer.u64(value.offset)
    writer.u64(value.length)
    writer.u64(value.guestAddress ?? 0)
    writer.u32(value.uid)
    writer.code(value.access, accesses)
    writer.code(value.state, states)
    writer.u8(
      (value.guestAddress === null ? 0 : guestAddressFlag) |
        (value.metadata === null ? 0 : metadataFlag) |
        (value.replaces === null ? 0 : replacesFlag),
    )
    writer.u8(0)
    writer.u32(metadataBytes)
    writer.u32(0)
    encodeHolder(writer, value.holder, context)
    if (value.replaces !== null) writer.u64(value.replaces)
    if (value.metadata !== null) writer.text(value.metadata)
  },

  decode(reader, id, context) {
    const allocationId = reader.u64()
    const offset = reader.u64()
    const length = reader.u64()
    const address = reader.u64()
    const uid = reader.u32()
    const access = reader.code(accesses)
    const state = reader.code(states)
    const flags = reader.u8()
    reader.zeros(1)
    const metadataBytes = reader.u32()
    reader.zeros(4)
    if ((flags & ~knownFlags) !== 0) throw new RecordInvalid(`unknown flags ${flags} of a mapping`)
    if (length < 1 || length > context.rangeBytes || offset > context.rangeBytes - length) {
      throw new RecordInvalid(`mapping ${offset}+${length} is larger than the range`)
    }
    if (metadataBytes > (flags & metadataFlag ? metadataBytesMax : 0)) {
      throw new RecordInvalid(`metadata of ${metadataBytes} bytes`)
    }
    if (!(flags & guestAddressFlag) && address !== 0)
      throw new RecordInvalid('a guest address without its flag')
    const holder = decodeHolder(reader, context)
    const replaces = flags & replacesFlag ? reader.u64() : null
    const metadata = flags & metadataFlag ? reader.text(metadataBytes) : null
    const guestAddress = flags & guestAddressFlag ? address : null
    // A successor that is gone with its boot leaves nothing.
    if (replaces !== null && holder === null) return undefined
    return { id, allocationId, offset, length, access, guestAddress, metadata, uid, holder, replaces, state }
  },

  same: (a, b) =>
    a.id === b.id &&
    a.allocationId === b.allocationId &&
    a.offset === b.offset &&
    a.length === b.length &&
    a.access === b.access &&
    a.guestAddress === b.guestAddress &&
    a.metadata === b.metadata &&
    a.uid === b.uid &&
    sameValue(a.holder, b.holder) &&
    a.replaces === b.replaces &&
    a.state === b.state &&
    hasFields(a, 11),
}
