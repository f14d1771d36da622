import { type Crc32c, crc32c as portableCrc32c } from './crc32c'
import { RecordInvalid, TableUnreadable } from './errors'
import { pageBytes } from './layout'
import {
  decodeSuperblock,
  formatVersion,
  hasMagic,
  isIntact,
  type Superblock,
  superblockBytes,
  unknownFeatures,
  versionOf,
} from './superblock'

/**
 * current: the newest; stale: whole, one update behind (a crash between the two copies); writing: not published (a
 * crash within one); damaged: published, but with other bytes than a writer wrote.
 */
type CopyState = 'current' | 'stale' | 'writing' | 'damaged'

export interface SuperblockChoice {
  readonly superblock: Superblock
  /** The 256 bytes that were chosen, to repair the other copy with. */
  readonly bytes: Buffer
  readonly copies: readonly [CopyState, CopyState]
}

/** A page as found. generation is undefined when it can't be one. */
interface Copy {
  readonly bytes: Buffer
  readonly generation: number | undefined
  readonly whole: boolean
}

/** Chooses between the two pages. Copy A is always written before B. Throws TableUnreadable. */
export function chooseSuperblock(
  pageA: Buffer,
  pageB: Buffer,
  crc32c: Crc32c = portableCrc32c,
): SuperblockChoice {
  const a = inspect(pageA, crc32c)
  const b = inspect(pageB, crc32c)
  if (a.whole && b.whole) return chooseOfWhole(a, b)
  if (a.whole) return chosen(a, ['current', stateBeside(a, b)])
  if (b.whole) return chosen(b, [stateBeside(b, a), 'current'])
  const published = [a, b].filter(copy => copy.generation !== 0)
  if (published.some(copy => hasMagic(copy.bytes))) {
    throw new TableUnreadable('SuperblockCorrupt', 'a superblock was here, but neither copy is whole')
  }
  throw new TableUnreadable('NotFormatted', 'no superblock has been published')
}

function inspect(page: Buffer, crc32c: Crc32c): Copy {
  const bytes = page.subarray(0, superblockBytes)
  const high = bytes.readUInt32LE(4)
  const generation = high > 0x1fffff ? undefined : high * 0x100000000 + bytes.readUInt32LE(0)
  const restIsZero = page.subarray(superblockBytes, pageBytes).every(byte => byte === 0)
  const whole =
    generation !== undefined && generation > 0 && restIsZero && hasMagic(bytes) && isIntact(bytes, crc32c)
  return { bytes, generation, whole }
}

function chooseOfWhole(a: Copy, b: Copy): SuperblockChoice {
  if (a.generation === b.generation) {
    if (Buffer.compare(a.bytes, b.bytes) !== 0) {
      throw new TableUnreadable('SuperblockFork', `two different superblocks of generation ${a.generation}`)
    }
    return chosen(a, ['current', 'current'])
  }
  if (a.generation !== b.generation! + 1) {
    throw new TableUnreadable(
      'SuperblockFork',
      `generations ${a.generation} and ${b.generation} side by side`,
    )
  }
  return chosen(a, ['current', 'stale'])
}

/** A damaged copy is let pass only when it can't have been the newer one. */
function stateBeside(whole: Copy, other: Copy): CopyState {
  if (other.generation === 0) return 'writing'
  if (other.generation === whole.generation) return 'damaged'
  throw new TableUnreadable(
    'SuperblockFork',
    `beside generation ${whole.generation} there is a damaged copy that may have been a newer one`,
  )
}

function chosen(copy: Copy, copies: [CopyState, CopyState]): SuperblockChoice {
  return { superblock: decode(copy.bytes), bytes: copy.bytes, copies }
}

function decode(bytes: Buffer): Superblock {
  const version = versionOf(bytes)
  if (version !== formatVersion) {
    throw new TableUnreadable(
      'UnsupportedVersion',
      `format version ${version}; this program knows ${formatVersion}`,
    )
  }
  const { incompatible } = unknownFeatures(bytes)
  if (incompatible !== 0) {
    throw new TableUnreadable(
      'UnsupportedFeature',
      `incompatible features ${hexFlags(incompatible)} are unknown`,
    )
  }
  try {
    return decodeSuperblock(bytes)
  } catch (error) {
    if (error instanceof RecordInvalid)
      throw new TableUnreadable('SuperblockCorrupt', error.message, { cause: error })
    throw error
  }
}

export function hexFlags(flags: number): string {
  return `0x${flags.toString(16).padStart(8, '0')}`
}
