import { statSync } from 'node:fs'
import { native } from '../../../../native'
import { startTimeOf } from '../../lease/process'
import { pinningOf, pinsOutstanding } from '../pins'
import { removeInstance } from './instance'
import { Stopped } from './stopped'

export interface CutOrder {
  directory: string
  name: string
  /** Not to be stopped: it gives orders, and descriptors it has yet to send may be dead ones. */
  broker: number
  /** Who had it before: they may have pinned what they have no descriptor of any more. */
  before: { pid: number; start: number }[]
  /** Pins that no living process among these has are accounted for: see tail.ts. */
  settled: boolean
}

/** settling: nothing was done, because pages are pinned by somebody. */
export type CutResult = { held: { pid: number; reason: string }[]; unseen: boolean; settling: boolean }

/** Processes that make more processes faster than they are stopped. */
const roundsMax = 8

/**
 * Takes a device away under those who hold it, unless one of them may have pages pinned: then nothing is done and they
 * are named. The holders stand still from before they are looked into until the device is gone.
 */
export async function cutInstance(order: CutOrder): Promise<CutResult> {
  const { directory, name, broker, before, settled } = order
  const stopped = new Stopped()
  try {
    const { held, unreadable } = await stopHolders(name, broker, stopped)
    for (const { pid, start } of before) {
      if (stopped.has(pid) || startTimeOf(pid) !== start) continue
      const reason = pinningOf(pid, false)
      if (reason !== undefined) held.push({ pid, reason })
    }
    if (held.length > 0 || unreadable > 0) return { held, unseen: unreadable > 0, settling: false }
    // A process that is gone may have left pins behind.
    if (!settled && pinsOutstanding() !== 0) return { held, unseen: false, settling: true }
    removeInstance(directory, name)
    return { held, unseen: false, settling: false }
  } finally {
    stopped.go()
  }
}

async function stopHolders(name: string, broker: number, stopped: Stopped) {
  const held: CutResult['held'] = []
  const node = statSync(`/dev/${name}`, { throwIfNoEntry: false })
  if (!node) return { held, unreadable: 0 }
  for (let round = 0; round < roundsMax; round++) {
    const found = await native.findHolders(node.dev, node.ino)
    const pids = found.holders.map(({ pid }) => pid).filter(pid => pid !== broker && !stopped.has(pid))
    if (pids.length === 0) return { held, unreadable: found.unreadable }
    for (const pid of pids) {
      const still = await stopped.stop(pid)
      const reason = still ? pinningOf(pid, true) : 'it does not stop; it may be in the middle of I/O'
      if (reason !== undefined) held.push({ pid, reason })
    }
    if (held.length > 0) return { held, unreadable: found.unreadable }
  }
  return { held, unreadable: 1 }
}
