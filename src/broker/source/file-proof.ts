import { closeSync, fstatSync, statSync } from 'node:fs'
import { native } from '../../../native'
import type { Proof } from './source'

/**
 * Whether anyone but the broker reaches a file. fd must be the broker's only descriptor of it, opened for writing.
 * The kernel's write lease is the proof; the scan of /proc only tells whom to ask. A descriptor on its way through
 * a socket is in no process, which is why an empty scan proves nothing.
 */
async function proveFile(fd: number, keeperPid: number | undefined): Promise<Proof> {
  if (native.isSoleOpener(fd)) return { kind: 'gone' }
  const { dev, ino } = fstatSync(fd)
  const { holders, unreadable } = await native.findHolders(dev, ino)
  if (native.isSoleOpener(fd)) return { kind: 'gone' }
  const pids = holders.map(holder => holder.pid).filter(pid => pid !== keeperPid)
  return { kind: 'held', pids, unseen: pids.length === 0 || unreadable > 0 }
}

/** Who holds a file that can't be opened for the question; it is not gone in any case. */
async function proveHeld(file: string): Promise<Proof> {
  const { dev, ino } = statSync(file)
  const { holders } = await native.findHolders(dev, ino)
  return { kind: 'held', pids: holders.map(holder => holder.pid), unseen: true }
}

/**
 * The proof by a new descriptor, which open makes for the purpose; file names the same. keeperPid: a process that
 * keeps copies of the broker's own descriptor for it, and is no holder.
 */
export async function proveByOpening(open: () => number, file: string, keeperPid?: number): Promise<Proof> {
  let fd: number
  try {
    fd = open()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return { kind: 'gone' }
    // A holder's lease, or a holder that runs it as a program: held in any case.
    if (code === 'EAGAIN' || code === 'ETXTBSY') return proveHeld(file)
    throw error
  }
  try {
    return await proveFile(fd, keeperPid)
  } finally {
    closeSync(fd)
  }
}
