import { journalOffset, readTable, slotOffset } from '../../../protocol/table'

/** What keeps programs from before a kind of record away, as the superblock has it. */
export function declared(image: Buffer): number {
  return readTable(image).superblock.featuresIncompatible
}

/** The features that a program would meet in what it reads: the checkpoint, and the journal after it. */
export function met(image: Buffer): number {
  const { superblock, journalEnd } = readTable(image)
  const { layout, checkpointSlot, checkpointBytes, journalStart } = superblock
  const at = slotOffset(layout, checkpointSlot)
  const ring = image.subarray(journalOffset, journalOffset + layout.journalBytes)
  const journal = Buffer.alloc(journalEnd - journalStart)
  for (let index = 0; index < journal.length; index++)
    journal[index] = ring[(journalStart + index) % ring.length]!
  return metIn(image.subarray(at, at + checkpointBytes)) | metIn(journal)
}

/** Whether a program from before these features would take the table for damaged, instead of for a newer one's. */
export function looksDamaged(image: Buffer): boolean {
  return (met(image) & ~declared(image)) !== 0
}

/** Records begin at multiples of 8, in a checkpoint and in an entry. */
function metIn(bytes: Buffer): number {
  let features = 0
  for (let at = 0; at + 16 <= bytes.length; at += 8) {
    const head = bytes.toString('hex', at, at + 4)
    const key = bytes.readUInt32LE(at + 8)
    if (head === '01050000' && key === 2) features |= 1
    if (head === '01010000' && bytes[at + 16 + 21]! & 8) features |= 2
    if (head === '01020000' && bytes[at + 16 + 38]! & 4) features |= 2
  }
  return features
}
