import { journalOffset, readTable, slotOffset } from '../../../protocol/table'

/** A put of the control record with key 2, which programs from before updates take for damage. */
const unknownHead = Buffer.from([1, 5, 0, 0])
const unknownKey = Buffer.from([2, 0, 0, 0, 0, 0, 0, 0])

/** Whether the superblock keeps programs away that do not know updates. */
export function isDeclared(image: Buffer): boolean {
  return (readTable(image).superblock.featuresIncompatible & 1) !== 0
}

/** Whether a program that does not know updates would meet one, in what it reads: the checkpoint, and the journal after it. */
export function meetsUnknown(image: Buffer): boolean {
  const { superblock, journalEnd } = readTable(image)
  const { layout, checkpointSlot, checkpointBytes, journalStart } = superblock
  const at = slotOffset(layout, checkpointSlot)
  const ring = image.subarray(journalOffset, journalOffset + layout.journalBytes)
  const journal = Buffer.alloc(journalEnd - journalStart)
  for (let index = 0; index < journal.length; index++)
    journal[index] = ring[(journalStart + index) % ring.length]!
  return [image.subarray(at, at + checkpointBytes), journal].some(hasUnknown)
}

/** Records begin at multiples of 8, in a checkpoint and in an entry. */
function hasUnknown(bytes: Buffer): boolean {
  for (let at = 0; at + 16 <= bytes.length; at += 8)
    if (bytes.subarray(at, at + 4).equals(unknownHead) && bytes.subarray(at + 8, at + 16).equals(unknownKey))
      return true
  return false
}
