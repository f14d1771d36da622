import type { AllocationRecord, ShareRecord, Verdict } from './entity'
import { RecordInvalid } from './errors'
import type { FieldReader } from './field-reader'
import { hashBytes, metadataBytesMax, nameBytesMax, saltBytes, sharesMax } from './layout'
import {
  accesses,
  checkExtentCount,
  decodeExtents,
  decodeHolder,
  decodeStampedHolder,
  encodedExtentBytes,
  encodedHolderBytes,
  encodeExtents,
  encodeHolder,
  extentBytes,
  type PayloadCodec,
  textBytes,
} from './payload'
import { utf8Bytes } from './text'

const fixedBytes = 32 + encodedHolderBytes
const encodedShareBytes = 8
const verdicts: readonly Verdict[] = ['unverified', 'intact', 'changed', 'poisoned']

const secretFlag = 1
const metadataFlag = 2
const digestFlag = 4
const successorFlag = 8
const knownFlags = secretFlag | metadataFlag | digestFlag | successorFlag

export const allocationPayload: PayloadCodec<AllocationRecord> = {
  bytes(value) {
    return (
      fixedBytes +
      value.extents.length * encodedExtentBytes +
      value.shares.length * encodedShareBytes +
      (value.secret ? saltBytes + hashBytes : 0) +
      (value.digest === null ? 0 : hashBytes) +
      (value.successor === null ? 0 : encodedHolderBytes) +
      utf8Bytes(value.name) +
      (value.metadata === null ? 0 : utf8Bytes(value.metadata))
    )
  },

  encode(writer, value, context) {
    const nameBytes = textBytes(value.name, nameBytesMax)
    const metadataBytes = value.metadata === null ? 0 : textBytes(value.metadata, metadataBytesMax)
    writer.u64(value.bytes)
    writer.u64(value.alignBytes)
    writer.u32(value.uid)
    writer.code(value.verdict, verdicts)
    writer.u8(
      (value.secret ? secretFlag : 0) |
        (value.metadata === null ? 0 : metadataFlag) |
        (value.digest === null ? 0 : digestFlag) |
        (value.successor === null ? 0 : successorFlag),
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
      writer.code(share.access, accesses)
      writer.zeros(3)
    }
    if (value.secret) {
      writer.hex(value.secret.salt, saltBytes)
      writer.hex(value.secret.hash, hashBytes)
    }
    if (value.digest !== null) writer.hex(value.digest, hashBytes)
    if (value.successor !== null) encodeHolder(writer, value.successor, context)
    writer.text(value.name)
    if (value.metadata !== null) writer.text(value.metadata)
  },

  decode(reader, id, context) {
    const bytes = reader.u64()
    const alignBytes = reader.u64()
    const uid = reader.u32()
    const written = reader.code(verdicts)
    const flags = reader.u8()
    const nameBytes = reader.u16()
    const metadataBytes = reader.u16()
    const extentCount = checkExtentCount(reader.u16())
    const shareCount = reader.u16()
    reader.zeros(2)
    if ((flags & ~knownFlags) !== 0) throw new RecordInvalid(`unknown flags ${flags} of an allocation`)
    if (nameBytes < 1 || nameBytes > nameBytesMax) throw new RecordInvalid(`name of ${nameBytes} bytes`)
    if (metadataBytes > (flags & metadataFlag ? metadataBytesMax : 0)) {
      throw new RecordInvalid(`metadata of ${metadataBytes} bytes`)
    }
    if (shareCount > sharesMax) throw new RecordInvalid(`${shareCount} shares; ${sharesMax} are the most`)
    const { holder: former, stamp } = decodeStampedHolder(reader, context)
    if (!former && stamp !== 0 && written !== 'intact') throw new RecordInvalid('a holder without a pid')
    const current = stamp >= context.bootEpoch
    const holder = current ? (former ?? null) : null
    // A comparison before the kernel was replaced says nothing about the contents after it.
    const verdict = written === 'intact' && !current ? 'unverified' : written
    const extents = decodeExtents(reader, extentCount, context.rangeBytes)
    if (bytes > extentBytes(extents))
      throw new RecordInvalid(`allocation of ${bytes} bytes in smaller extents`)
    const shares = decodeShares(reader, shareCount)
    const secret = flags & secretFlag ? { salt: reader.hex(saltBytes), hash: reader.hex(hashBytes) } : null
    const digest = flags & digestFlag ? reader.hex(hashBytes) : null
    const successor = flags & successorFlag ? decodeHolder(reader, context) : null
    const name = reader.text(nameBytes)
    const metadata = flags & metadataFlag ? reader.text(metadataBytes) : null
    // One literal: a spread of objects takes three times as long, and a start decodes every record.
    // biome-ignore format: one field a line would be as long as all of the above
    return { id, name, uid, bytes, alignBytes, extents, secret, metadata, shares, holder, successor, verdict, digest }
  },
}

const noShares: readonly ShareRecord[] = []

function decodeShares(reader: FieldReader, count: number): readonly ShareRecord[] {
  if (count === 0) return noShares
  const shares: ShareRecord[] = []
  for (let index = 0; index < count; index++) {
    shares.push({ uid: reader.u32(), access: reader.code(accesses) })
    reader.zeros(3)
  }
  return shares
}
