import { closeSync, statSync } from 'node:fs'
import { native } from '../../../native'
import type { Proof, Scan } from './source'

/**
 * Whether anyone but the broker reaches a file. open makes a new descriptor of it for writing, the broker's only one;
 * file names the same. The kernel's write lease is the proof, and asked in one turn of the event loop. The scan of /proc
 * only tells whom to ask: a descriptor on its way through a socket is in no process, so an empty scan proves nothing.
 * storePid: the process that has copies of the broker's own descriptor, and is no holder.
 */
export async function proveByOpening(
  open: () => number,
  file: string,
  scan: Scan | undefined,
  storePid?: number,
): Promise<Proof> {
  if (isGone(open)) return { kind: 'gone' }
  if (!scan) return { kind: 'held', pids: [], unseen: true }
  const stat = statSync(file, { throwIfNoEntry: false })
  if (!stat) return { kind: 'gone' }
  const { holders, unseen, opaque } = await scan(stat)
  if (isGone(open)) return { kind: 'gone' }
  const pids = holders.map(({ pid }) => pid).filter(pid => pid !== storePid)
  return { kind: 'held', pids, unseen: pids.length === 0 || unseen > 0, opaque }
}

function isGone(open: () => number): boolean {
  let fd: number
  try {
    fd = open()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return true
    // A holder's lease, or a holder that runs it as a program: held in any case.
    if (code === 'EAGAIN' || code === 'ETXTBSY') return false
    throw error
  }
  try {
    return native.isSoleOpener(fd)
  } finally {
    closeSync(fd)
  }
}
