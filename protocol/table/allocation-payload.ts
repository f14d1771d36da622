import type { AllocationRecord, ShareRecord, Verdict } from './entity'
import type { FieldReader } from './field-reader'
import { HASH_BYTES, METADATA_BYTES_MAX, NAME_BYTES_MAX, SALT_BYTES, SHARES_MAX } from './layout'
import {
  ACCESSES,
  checkExtentCount,
  decodeExtents,
  decodeStampedHolder,
  EXTENT_BYTES,
  encodeExtents,
  encodeHolder,
  extentBytes,
  HOLDER_BYTES,
  type PayloadCodec,
  textBytes,
} from './payload'
import { RecordInvalid } from './record-invalid'

const FIXED_BYTES = 32 + HOLDER_BYTES
const SHARE_BYTES = 8
const VERDICTS: readonly Verdict[] = ['unverified', 'intact', 'changed', 'poisoned']

const HAS_SECRET = 1
const HAS_METADATA = 2
const HAS_DIGEST = 4
const FLAGS = HAS_SECRET | HAS_METADATA | HAS_DIGEST

export const allocationPayload: PayloadCodec<AllocationRecord> = {
  bytes(value) {
    return (
      FIXED_BYTES +
      value.extents.length * EXTENT_BYTES +
      value.shares.length * SHARE_BYTES +
      (value.secret ? SALT_BYTES + HASH_BYTES : 0) +
      (value.digest === null ? 0 : HASH_BYTES) +
      Buffer.byteLength(value.name) +
      (value.metadata === null ? 0 : Buffer.byteLength(value.metadata))
    )
  },

  encode(writer, value, context) {
    const nameBytes = textBytes(value.name, NAME_BYTES_MAX)
    const metadataBytes = value.metadata === null ? 0 : textBytes(value.metadata, METADATA_BYTES_MAX)
    writer.u64(value.bytes)
    writer.u64(value.alignBytes)
    writer.u32(value.uid)
    writer.code(value.verdict, VERDICTS)
    writer.u8(
      (value.secret ? HAS_SECRET : 0) |
        (value.metadata === null ? 0 : HAS_METADATA) |
        (value.digest === null ? 0 : HAS_DIGEST),
    )
    writer.u16(nameBytes)
    writer.u16(metadataBytes)
    writer.u16(checkExtentCount(value.extents.length))
    writer.u16(value.shares.length)
    writer.u16(0)
    encodeHolder(writer, value.holder, context, value.verdict === 'intact')
    encodeExtents(writer, value.extents, context.rangeBytes)
    for (const share of value.shares) {
      writer.u32(share.uid)
      writer.code(share.access, ACCESSES)
      writer.zeros(3)
    }
    if (value.secret) {
      writer.hex(value.secret.salt, SALT_BYTES)
      writer.hex(value.secret.hash, HASH_BYTES)
    }
    if (value.digest !== null) writer.hex(value.digest, HASH_BYTES)
    writer.text(value.name)
    if (value.metadata !== null) writer.text(value.metadata)
  },

  decode(reader, id, context) {
    const bytes = reader.u64()
    const alignBytes = reader.u64()
    const uid = reader.u32()
    const written = reader.code(VERDICTS)
    const flags = reader.u8()
    const nameBytes = reader.u16()
    const metadataBytes = reader.u16()
    const extentCount = checkExtentCount(reader.u16())
    const shareCount = reader.u16()
    reader.zeros(2)
    if ((flags & ~FLAGS) !== 0) throw new RecordInvalid(`unknown flags ${flags} of an allocation`)
    if (nameBytes < 1 || nameBytes > NAME_BYTES_MAX) throw new RecordInvalid(`name of ${nameBytes} bytes`)
    if (metadataBytes > (flags & HAS_METADATA ? METADATA_BYTES_MAX : 0)) {
      throw new RecordInvalid(`metadata of ${metadataBytes} bytes`)
    }
    if (shareCount > SHARES_MAX) throw new RecordInvalid(`${shareCount} shares; ${SHARES_MAX} are the most`)
    const { holder: former, stamp } = decodeStampedHolder(reader, context)
    if (!former && stamp !== 0 && written !== 'intact') throw new RecordInvalid('a holder without a pid')
    const current = stamp >= context.bootEpoch
    const holder = current ? (former ?? null) : null
    // What was compared before the kernel was replaced says nothing of what came through.
    const verdict = written === 'intact' && !current ? 'unverified' : written
    const extents = decodeExtents(reader, extentCount, context.rangeBytes)
    if (bytes > extentBytes(extents))
      throw new RecordInvalid(`allocation of ${bytes} bytes in smaller extents`)
    const shares = decodeShares(reader, shareCount)
    const secret = flags & HAS_SECRET ? { salt: reader.hex(SALT_BYTES), hash: reader.hex(HASH_BYTES) } : null
    const digest = flags & HAS_DIGEST ? reader.hex(HASH_BYTES) : null
    const name = reader.text(nameBytes)
    const metadata = flags & HAS_METADATA ? reader.text(metadataBytes) : null
    return { id, name, uid, bytes, alignBytes, extents, secret, metadata, shares, holder, verdict, digest }
  },
}

function decodeShares(reader: FieldReader, count: number): ShareRecord[] {
  const shares: ShareRecord[] = []
  for (let index = 0; index < count; index++) {
    shares.push({ uid: reader.u32(), access: reader.code(ACCESSES) })
    reader.zeros(3)
  }
  return shares
}
