import { closeSync, fstatSync } from 'node:fs'
import { native } from '../../../native'
import { isEnvironment } from '../failure'
import { presentPagesMax } from '../worker/present-pages'
import type { FileWork } from './file-work'
import { PageReferences } from './page-references'

/** Whether a descriptor, which can write, is the only open file description of its file: nobody else has it open or mapped. */
export type SoleOpener = (fd: number) => boolean | Promise<boolean>

/** Before a page's owner, which is a part of the inode: there the inode has its counts. */
const inodeBytes = 256
/** Opened to see which of the numbers there are the counts: no two numbers change like that by chance. */
const extraWriters = 2
const extraReaders = 3

/**
 * For files of huge pages. The kernel gives a lease on them, or, from Linux 7.0 on, none: then the counts of writers and
 * readers are read that a lease would be decided by, from the inode that the file's pages belong to. blind: told once,
 * where neither can be had, so that nothing is ever proved.
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
      // What could not be looked at is not proved.
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

/** Of a page that the file has; where it has none, it gets one: a file that its holder has emptied is held all the same. */
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

/** In one turn of the event loop. False as well where the counts are not found: others may be opening and closing it. */
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

/** The one number that has changed like this, as it was first. */
function countThat(looks: readonly Buffer[], changes: readonly number[]): number | undefined {
  const found: number[] = []
  for (let at = 0; at < inodeBytes; at += 4) {
    const [first, ...later] = looks.map(bytes => bytes.readInt32LE(at)) as [number, ...number[]]
    if (later.every((value, index) => value - first === changes[index + 1])) found.push(first)
  }
  return found.length === 1 ? found[0] : undefined
}
