import {
  type Crc32c,
  encodeSuperblock,
  pageBytes,
  type Superblock,
  type SuperblockChoice,
  superblockBytes,
  superblockOffsets,
  wordBytes,
} from '../../../protocol/table'
import type { TableMedium } from './medium'

/**
 * Brings the other copy up to the chosen one. It must come before an update: an update first makes copy A void. If copy B were
 * void too, a crash there would leave none.
 */
export function repairSuperblock(medium: TableMedium, choice: SuperblockChoice): void {
  choice.copies.forEach((copy, index) => {
    if (copy !== 'current') writeCopy(medium, index, wholePage(choice.bytes))
  })
}

/** Writes both copies, A first. Each is void (generation 0) while its body is written. */
export function updateSuperblock(
  medium: TableMedium,
  superblock: Superblock,
  change: Partial<Superblock>,
  crc32c: Crc32c,
): Superblock {
  const updated = { ...superblock, ...change, generation: superblock.generation + 1 }
  const bytes = encodeSuperblock(updated, crc32c)
  superblockOffsets.forEach((_, index) => {
    writeCopy(medium, index, bytes)
  })
  return updated
}

/** For formatting: both copies are void already. */
export function createSuperblock(medium: TableMedium, superblock: Superblock, crc32c: Crc32c): void {
  const page = wholePage(encodeSuperblock(superblock, crc32c))
  superblockOffsets.forEach((_, index) => {
    writeCopy(medium, index, page)
  })
}

export function voidSuperblocks(medium: TableMedium): void {
  for (const offset of superblockOffsets) medium.publish(offset, 0, 0)
}

function writeCopy(medium: TableMedium, index: number, bytes: Buffer): void {
  const offset = superblockOffsets[index]!
  medium.publish(offset, 0, 0)
  medium.write(offset + wordBytes, bytes.subarray(wordBytes))
  medium.publish(offset, bytes.readUInt32LE(0), bytes.readUInt32LE(4))
}

function wholePage(superblock: Buffer): Buffer {
  return Buffer.concat([superblock, Buffer.alloc(pageBytes - superblockBytes)])
}
