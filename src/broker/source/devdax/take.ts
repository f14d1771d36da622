import { statSync } from 'node:fs'
import type { HolderScan } from '../../worker/holder-scan'
import { type Counting, unitsReferenced } from '../page-references'
import { nodeOf } from './device-node'
import { describeReferenced, removeInstance } from './instance'
import { mappedUnits } from './mapped-units'
import { pinningOf } from './pinning'
import { readInstance } from './region'
import { Stopped } from './stopped'

export interface TakeOrder {
  directory: string
  name: string
  /** The broker's pid. take() does not stop the broker: it gives the orders, and may still have to send descriptors. */
  broker: number
  counting: Counting
}

/** If held is not empty, or why is set, take() took nothing away. */
export type TakeResult = { held: { pid: number; reason: string }[]; unseen: boolean; why?: string }

/** Processes may fork faster than they are stopped. */
const roundsMax = 8

/**
 * Takes a device away under its holders. It stops the holders before it looks into them, and continues them when the device is
 * gone. If the kernel may keep references to pages for a holder, it does nothing and names that holder. It does not see what
 * others of the same user do to the holders' memory meanwhile (process_vm_readv, a descriptor in flight). So it suits programs
 * that are trusted not to attack the host.
 */
export async function takeInstance(
  { directory, name, broker, counting }: TakeOrder,
  scan: HolderScan,
): Promise<TakeResult> {
  const instance = readInstance(directory, name)
  if (!instance) return { held: [], unseen: false }
  const stopped = new Stopped()
  try {
    const { held, unseen } = await stopHolders(name, broker, stopped, scan)
    if (held.length > 0 || unseen > 0) return { held, unseen: unseen > 0 }
    const { extents, alignBytes, bytes } = instance
    const { dev, ino } = statSync(nodeOf(name))
    const mapped = mappedUnits(stopped.pids, { dev, ino, bytes, unitBytes: alignBytes })
    const referenced = unitsReferenced(extents, alignBytes, unit => mapped[unit]! * counting.perMapping)
    if (referenced > 0) return { held, unseen: true, why: describeReferenced(referenced, alignBytes) }
    removeInstance(directory, name, 'taken')
    return { held, unseen: false }
  } finally {
    stopped.go()
  }
}

async function stopHolders(name: string, broker: number, stopped: Stopped, scan: HolderScan) {
  const held: TakeResult['held'] = []
  const { dev, ino } = statSync(nodeOf(name))
  for (let round = 0; round < roundsMax; round++) {
    const found = await scan.find('take', { dev, ino }, stopped.pids)
    const pids = found.holders.map(({ pid }) => pid).filter(pid => pid !== broker && !stopped.has(pid))
    if (pids.length === 0) return { held, unseen: found.unseen }
    for (const pid of pids) {
      const still = await stopped.stop(pid)
      const reason = still ? pinningOf(pid) : 'it does not stop; it may be in the middle of I/O'
      if (reason !== undefined) held.push({ pid, reason })
    }
    if (held.length > 0) return { held, unseen: found.unseen }
  }
  return { held, unseen: 1 }
}
