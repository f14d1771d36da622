import { type AllocationRecord, type ShareRecord, sameValue, type Verdict } from './entity'
import { RecordInvalid } from './errors'
import type { FieldReader } from './field-reader'
import { hashBytes, metadataBytesMax, nameBytesMax, saltBytes, sharesMax } from './layout'
import {
  accesses,
  checkExtent,
  checkExtentCount,
  decodeExtents,
  decodeHolder,
  encodedExtentBytes,
  encodedHolderBytes,
  encodeExtents,
  encodeHolder,
  extentBytes,
  hasFields,
  type PayloadCodec,
  type RecordContext,
  readHolder,
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
    readHead(reader, context)
    const { bytes, alignBytes, uid, flags, nameBytes, metadataBytes, shareCount } = head
    const current = head.stamp >= context.bootEpoch
    const holder = current && head.pid !== 0 ? { pid: head.pid, start: head.start } : null
    // A comparison before the kernel was replaced says nothing about the contents after it.
    const verdict = head.verdict === 'intact' && !current ? 'unverified' : head.verdict
    const extents = decodeExtents(reader, head.extentCount, context.rangeBytes)
    checkBytes(extentBytes(extents))
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

  same: (a, b) =>
    a.id === b.id &&
    a.name === b.name &&
    a.uid === b.uid &&
    a.bytes === b.bytes &&
    a.alignBytes === b.alignBytes &&
    sameValue(a.extents, b.extents) &&
    sameValue(a.secret, b.secret) &&
    a.metadata === b.metadata &&
    sameValue(a.shares, b.shares) &&
    sameValue(a.holder, b.holder) &&
    sameValue(a.successor, b.successor) &&
    a.verdict === b.verdict &&
    a.digest === b.digest &&
    hasFields(a, 13),
}

/**
 * Refuses what decode() refuses, and makes nothing: of the records of a large table, most are not asked for. Returns whether a
 * record of the same length holds all of it also once its boot is over.
 */
export function checkAllocation(reader: FieldReader, context: RecordContext): boolean {
  readHead(reader, context)
  const { flags, metadataBytes } = head
  let total = 0
  for (let index = 0; index < head.extentCount; index++) {
    const offset = reader.u64()
    total += checkExtent(offset, reader.u64(), context.rangeBytes)
  }
  checkBytes(total)
  for (let index = 0; index < head.shareCount; index++) {
    reader.u32()
    reader.code(accesses)
    reader.zeros(3)
  }
  if (flags & secretFlag) {
    reader.skip(saltBytes)
    reader.skip(hashBytes)
  }
  if (flags & digestFlag) reader.skip(hashBytes)
  if (flags & successorFlag) decodeHolder(reader, context)
  reader.skipText(head.nameBytes)
  reader.skipText(metadataBytes)
  return (flags & successorFlag) === 0
}

/** What readHead() has read. One for all records, so that to check one makes nothing. */
const head = {
  bytes: 0,
  alignBytes: 0,
  uid: 0,
  verdict: 'unverified' as Verdict,
  flags: 0,
  nameBytes: 0,
  metadataBytes: 0,
  extentCount: 0,
  shareCount: 0,
  pid: 0,
  start: 0,
  stamp: 0,
}

/** The fields that every record has. */
function readHead(reader: FieldReader, context: RecordContext): void {
  head.bytes = reader.u64()
  head.alignBytes = reader.u64()
  head.uid = reader.u32()
  head.verdict = reader.code(verdicts)
  head.flags = reader.u8()
  head.nameBytes = reader.u16()
  head.metadataBytes = reader.u16()
  head.extentCount = checkExtentCount(reader.u16())
  head.shareCount = reader.u16()
  reader.zeros(2)
  const { flags, nameBytes, metadataBytes, shareCount } = head
  if ((flags & ~knownFlags) !== 0) throw new RecordInvalid(`unknown flags ${flags} of an allocation`)
  if (nameBytes < 1 || nameBytes > nameBytesMax) throw new RecordInvalid(`name of ${nameBytes} bytes`)
  if (metadataBytes > (flags & metadataFlag ? metadataBytesMax : 0)) {
    throw new RecordInvalid(`metadata of ${metadataBytes} bytes`)
  }
  if (shareCount > sharesMax) throw new RecordInvalid(`${shareCount} shares; ${sharesMax} are the most`)
  readHolder(reader, context, head)
  if (head.pid === 0 && head.stamp !== 0 && head.verdict !== 'intact')
    throw new RecordInvalid('a holder without a pid')
}

function checkBytes(inExtents: number): void {
  if (head.bytes > inExtents) throw new RecordInvalid(`allocation of ${head.bytes} bytes in smaller extents`)
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
