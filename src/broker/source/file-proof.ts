import { closeSync, statSync } from 'node:fs'
import { native } from '../../../native'
import type { SoleOpener } from './sole-opener'
import type { Proof, Scan } from './source'

/**
 * Whether anyone but the broker reaches a file. open makes a new descriptor of it for writing, the broker's only one; file is
 * its path. The kernel's write lease is the proof; the broker asks for it in one iteration of the event loop. The scan of /proc only
 * finds processes to ask: a descriptor in flight is in no process, so an empty scan proves nothing.
 * storePid: the process that has copies of the broker's own descriptor, and is no holder.
 * isSole: another way to ask, where the kernel gives no lease.
 */
export async function proveByOpening(
  open: () => number,
  file: string,
  scan: Scan | undefined,
  storePid?: number,
  isSole: SoleOpener = native.isSoleOpener,
): Promise<Proof> {
  if (await isGone(open, isSole)) return { kind: 'gone' }
  if (!scan) return { kind: 'held', pids: [], unseen: true }
  const stat = statSync(file, { throwIfNoEntry: false })
  if (!stat) return { kind: 'gone' }
  const { holders, unseen, opaque } = await scan(stat)
  if (await isGone(open, isSole)) return { kind: 'gone' }
  const pids = holders.map(({ pid }) => pid).filter(pid => pid !== storePid)
  return { kind: 'held', pids, unseen: pids.length === 0 || unseen > 0, opaque }
}

async function isGone(open: () => number, isSole: SoleOpener): Promise<boolean> {
  let fd: number
  try {
    fd = open()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return true
    // A holder has a lease, or runs the file as a program. In both cases somebody holds it.
    if (code === 'EAGAIN' || code === 'ETXTBSY') return false
    throw error
  }
  try {
    return await isSole(fd)
  } finally {
    closeSync(fd)
  }
}
