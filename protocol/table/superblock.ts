import { type SourceKind, sourceKinds, sources } from '../source'
import { type Crc32c, crc32c as portableCrc32c } from './crc32c'
import { RecordInvalid } from './errors'
import { FieldReader } from './field-reader'
import { FieldWriter } from './field-writer'
import type { TableLayout } from './layout'

export const superblockBytes = 256
const crcOffset = superblockBytes - 4

/** "MBRTABLE" */
const superblockMagic = '4d42525441424c45'
const magicOffset = 8
const versionOffset = 16
const incompatibleOffset = 28
export const formatVersion = 1

/** There may be a control record of an update. */
export const featureUpdate = 1

/** There may be a successor of a holder, and mappings of one. */
export const featureSuccessor = 2

/** There may be control records of the last update. */
export const featureReport = 4

/** Flags this code understands. */
const featuresIncompatible = featureUpdate | featureSuccessor | featureReport
const featuresReadOnlyCompatible = 0

/** By the number that each has in a superblock. */
const kinds: (SourceKind | null)[] = [null]
for (const kind of sourceKinds) kinds[sources[kind].tableCode] = kind

/** Which range a table belongs to; bytes. base is 0 where the source has no physical address. */
export interface RangeIdentity {
  readonly source: SourceKind
  readonly base: number
  readonly bytes: number
  readonly alignBytes: number
}

export interface Superblock {
  /** Counts updates of the superblock. Zero in a copy that is being written. */
  readonly generation: number
  readonly featuresCompatible: number
  readonly featuresIncompatible: number
  readonly featuresReadOnlyCompatible: number
  /** 32 digits of lower-case hex, like bootId. */
  readonly uuid: string
  readonly identity: RangeIdentity
  /** One more at each take-over by a writer. */
  readonly epoch: number
  /** The epoch in which bootId became the writer's boot: older epochs belong to earlier boots. */
  readonly bootEpoch: number
  readonly bootId: string
  /** The sequence that the checkpoint and an empty journal stand for. */
  readonly stateSequence: number
  readonly checkpointSlot: number
  readonly checkpointBytes: number
  readonly checkpointCrc: number
  /** Absolute; its place in the ring is the remainder by journalBytes. */
  readonly journalStart: number
  readonly layout: TableLayout
}

/** A whole copy, its generation word included. */
export function encodeSuperblock(superblock: Superblock, crc32c: Crc32c = portableCrc32c): Buffer {
  const bytes = Buffer.alloc(superblockBytes)
  const writer = new FieldWriter(bytes)
  writer.u64(superblock.generation)
  writer.hex(superblockMagic, 8)
  writer.u32(formatVersion)
  writer.u32(superblockBytes)
  writer.u32(superblock.featuresCompatible)
  writer.u32(superblock.featuresIncompatible)
  writer.u32(superblock.featuresReadOnlyCompatible)
  writer.code(superblock.identity.source, kinds)
  writer.zeros(3)
  writer.hex(superblock.uuid, 16)
  writer.u64(superblock.identity.base)
  writer.u64(superblock.identity.bytes)
  writer.u64(superblock.identity.alignBytes)
  writer.u64(superblock.epoch)
  writer.u64(superblock.bootEpoch)
  writer.hex(superblock.bootId, 16)
  writer.u64(superblock.stateSequence)
  writer.u64(superblock.checkpointBytes)
  writer.u32(superblock.checkpointSlot)
  writer.u32(superblock.checkpointCrc)
  writer.u64(superblock.journalStart)
  writer.u64(superblock.stateSequence + 1)
  writer.u64(superblock.layout.tableBytes)
  writer.u64(superblock.layout.journalBytes)
  writer.u64(superblock.layout.slotBytes)
  writer.zeros(crcOffset - writer.position)
  writer.u32(crc32c(bytes.subarray(0, crcOffset), 0))
  return bytes
}

/**
 * Magic, version, flags and CRC stay where they are in every version, so that a reader can tell a newer table from a
 * damaged one.
 */
export function hasMagic(copy: Buffer): boolean {
  return copy.toString('hex', magicOffset, magicOffset + 8) === superblockMagic
}

export function isIntact(copy: Buffer, crc32c: Crc32c = portableCrc32c): boolean {
  return copy.readUInt32LE(crcOffset) === crc32c(copy.subarray(0, crcOffset), 0)
}

export function versionOf(copy: Buffer): number {
  return copy.readUInt32LE(versionOffset)
}

/** Flags of the copy that this code doesn't know, by whether they forbid reading or only writing. */
export function unknownFeatures(copy: Buffer): { incompatible: number; readOnlyCompatible: number } {
  return {
    incompatible: (copy.readUInt32LE(incompatibleOffset) & ~featuresIncompatible) >>> 0,
    readOnlyCompatible: (copy.readUInt32LE(incompatibleOffset + 4) & ~featuresReadOnlyCompatible) >>> 0,
  }
}

/** A copy that isIntact(), of our version and features. Throws RecordInvalid. */
export function decodeSuperblock(copy: Buffer): Superblock {
  const reader = new FieldReader(copy)
  const generation = reader.u64()
  reader.hex(8)
  reader.u32()
  if (reader.u32() !== superblockBytes) throw new RecordInvalid('wrong length of the superblock')
  const featuresCompatible = reader.u32()
  const featuresIncompatible = reader.u32()
  const featuresReadOnlyCompatible = reader.u32()
  const source = reader.code(kinds)
  reader.zeros(3)
  const uuid = reader.hex(16)
  const identity = { source, base: reader.u64(), bytes: reader.u64(), alignBytes: reader.u64() }
  const epoch = reader.u64()
  const bootEpoch = reader.u64()
  const bootId = reader.hex(16)
  const stateSequence = reader.u64()
  const checkpointBytes = reader.u64()
  const checkpointSlot = reader.u32()
  const checkpointCrc = reader.u32()
  const journalStart = reader.u64()
  if (reader.u64() !== stateSequence + 1) throw new RecordInvalid('the journal starts at another sequence')
  const layout = { tableBytes: reader.u64(), journalBytes: reader.u64(), slotBytes: reader.u64() }
  reader.zeros(crcOffset - reader.position)
  if (bootEpoch > epoch) throw new RecordInvalid('the boot began after the last epoch')
  return {
    generation,
    featuresCompatible,
    featuresIncompatible,
    featuresReadOnlyCompatible,
    uuid,
    identity,
    epoch,
    bootEpoch,
    bootId,
    stateSequence,
    checkpointSlot,
    checkpointBytes,
    checkpointCrc,
    journalStart,
    layout,
  }
}
