import { closeSync, fstatSync } from 'node:fs'
import { native } from '../../../native'
import { isEnvironment } from '../failure'
import { presentPagesMax } from '../worker/present-pages'
import type { FileWork } from './file-work'
import { PageReferences } from './page-references'

/**
 * Whether a descriptor, which can write, is the only open file description of its file. Then nobody else has it open or mapped.
 */
export type SoleOpener = (fd: number) => boolean | Promise<boolean>

/** A page's owner is a part of the inode. The inode has its counts within so many bytes before that part. */
const inodeBytes = 256
/** The broker opens the file so often, to see which numbers are the counts: no two numbers change like that by chance. */
const extraWriters = 2
const extraReaders = 3

/**
 * For files of huge pages. Kernels before Linux 7.0 give a lease on them. On later ones the broker reads the counts of writers
 * and readers by which the kernel would decide on a lease. It finds them in the inode of the file, by way of one of the file's
 * pages. Where it can have neither, it proves nothing, and calls blind once.
 */
export async function soleOpenerOfHugePages(
  work: FileWork,
  pageBytes: number,
  blind: (why: string) => void,
): Promise<SoleOpener> {
  if (hasLeases(pageBytes)) return native.isSoleOpener
  try {
    await PageReferences.ofFrames([])
  } catch (error) {
    if (!isEnvironment(error)) throw error
    blind(
      `this kernel gives no lease on huge pages, and ${(error as Error).message}: what was handed out comes back at the next boot only`,
    )
    return () => false
  }
  return async fd => {
    try {
      return isSoleByCounts(fd, await frameOf(work, fd, pageBytes))
    } catch (error) {
      // If the broker could not look at it, it has no proof.
      if (!isEnvironment(error)) throw error
      return false
    }
  }
}

function hasLeases(pageBytes: number): boolean {
  const fd = native.memfdCreate('membroker-lease', { hugePageBytes: pageBytes, allowSealing: false })
  let own: number | undefined
  try {
    own = native.reopen(fd, true)
    return native.isSoleOpener(own)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return false
    throw error
  } finally {
    if (own !== undefined) closeSync(own)
    closeSync(fd)
  }
}

/**
 * Returns the frame of a page of the file. If the file has no page, the broker adds one: a holder can empty a file and still
 * hold it.
 */
async function frameOf(work: FileWork, fd: number, pageBytes: number): Promise<number> {
  const { uid, size } = fstatSync(fd)
  const pieceBytes = presentPagesMax * pageBytes
  for (let at = 0; at < size; at += pieceBytes) {
    const frames = await work.pages(uid, fd, at, Math.min(pieceBytes, size - at), pageBytes)
    const present = frames.find(frame => frame > 0)
    if (present !== undefined) return present
  }
  await work.allocate(uid, fd, 0, pageBytes)
  const [frame = 0] = await work.pages(uid, fd, 0, pageBytes, pageBytes)
  return frame
}

/**
 * Runs in one iteration of the event loop. It also returns false if it does not find the counts: others may be opening and closing
 * the file.
 */
function isSoleByCounts(fd: number, frame: number): boolean {
  if (frame === 0) return false
  const look = () => PageReferences.readOwner(frame, inodeBytes)
  const own: number[] = []
  const open = (writable: boolean) => own.push(native.reopen(fd, writable))
  const looks = [look()]
  try {
    for (let count = 0; count < extraWriters; count++) open(true)
    looks.push(look())
    for (let count = 0; count < extraReaders; count++) open(false)
    looks.push(look())
  } finally {
    for (const extra of own) closeSync(extra)
  }
  looks.push(look())
  const writers = countThat(looks, [0, extraWriters, extraWriters, 0])
  const readers = countThat(looks, [0, 0, extraReaders, 0])
  return writers === 1 && readers === 0
}

/** Returns the first value of the one number that has changed like this. */
function countThat(looks: readonly Buffer[], changes: readonly number[]): number | undefined {
  const found: number[] = []
  for (let at = 0; at < inodeBytes; at += 4) {
    const [first, ...later] = looks.map(bytes => bytes.readInt32LE(at)) as [number, ...number[]]
    if (later.every((value, index) => value - first === changes[index + 1])) found.push(first)
  }
  return found.length === 1 ? found[0] : undefined
}
