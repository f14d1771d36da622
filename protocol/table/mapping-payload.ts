import type { MappingRecord, MappingState } from './entity'
import { METADATA_BYTES_MAX } from './layout'
import { ACCESSES, decodeHolder, encodeHolder, HOLDER_BYTES, type PayloadCodec, textBytes } from './payload'
import { RecordInvalid } from './record-invalid'

const FIXED_BYTES = 48 + HOLDER_BYTES
const STATES: readonly (MappingState | null)[] = [null, 'held', 'dormant', 'revoking']

const HAS_GUEST_ADDRESS = 1
const HAS_METADATA = 2
const FLAGS = HAS_GUEST_ADDRESS | HAS_METADATA

export const mappingPayload: PayloadCodec<MappingRecord> = {
  bytes(value) {
    return FIXED_BYTES + (value.metadata === null ? 0 : Buffer.byteLength(value.metadata))
  },

  encode(writer, value, context) {
    const metadataBytes = value.metadata === null ? 0 : textBytes(value.metadata, METADATA_BYTES_MAX)
    writer.u64(value.allocationId)
    writer.u64(value.offset)
    writer.u64(value.length)
    writer.u64(value.guestAddress ?? 0)
    writer.u32(value.uid)
    writer.code(value.access, ACCESSES)
    writer.code(value.state, STATES)
    writer.u8(
      (value.guestAddress === null ? 0 : HAS_GUEST_ADDRESS) | (value.metadata === null ? 0 : HAS_METADATA),
    )
    writer.u8(0)
    writer.u32(metadataBytes)
    writer.u32(0)
    encodeHolder(writer, value.holder, context)
    if (value.metadata !== null) writer.text(value.metadata)
  },

  decode(reader, id, context) {
    const allocationId = reader.u64()
    const offset = reader.u64()
    const length = reader.u64()
    const address = reader.u64()
    const uid = reader.u32()
    const access = reader.code(ACCESSES)
    const state = reader.code(STATES)
    const flags = reader.u8()
    reader.zeros(1)
    const metadataBytes = reader.u32()
    reader.zeros(4)
    if ((flags & ~FLAGS) !== 0) throw new RecordInvalid(`unknown flags ${flags} of a mapping`)
    if (length < 1 || length > context.rangeBytes || offset > context.rangeBytes - length) {
      throw new RecordInvalid(`mapping ${offset}+${length} is larger than the range`)
    }
    if (metadataBytes > (flags & HAS_METADATA ? METADATA_BYTES_MAX : 0)) {
      throw new RecordInvalid(`metadata of ${metadataBytes} bytes`)
    }
    if (!(flags & HAS_GUEST_ADDRESS) && address !== 0)
      throw new RecordInvalid('a guest address without its flag')
    const holder = decodeHolder(reader, context)
    const metadata = flags & HAS_METADATA ? reader.text(metadataBytes) : null
    const guestAddress = flags & HAS_GUEST_ADDRESS ? address : null
    return { id, allocationId, offset, length, access, guestAddress, metadata, uid, holder, state }
  },
}
