import { closeSync, statSync } from 'node:fs'
import { native } from '../../../native'
import type { Proof, Scan } from './source'

/**
 * Whether anyone but the broker reaches a file. open makes a new descriptor of it for writing, the broker's only one; file
 * is its path. The kernel's write lease is the proof; the broker asks for it in one turn of the event loop. The scan of
 * /proc only finds processes to ask: a descriptor in flight is in no process, so an empty scan proves nothing.
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
    // A holder has a lease, or runs it as a program: it is held in any case.
    if (code === 'EAGAIN' || code === 'ETXTBSY') return false
    throw error
  }
  try {
    return native.isSoleOpener(fd)
  } finally {
    closeSync(fd)
  }
}
