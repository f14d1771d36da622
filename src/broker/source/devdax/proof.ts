import { statSync } from 'node:fs'
import { hasMount, isClosedEverywhere } from '../counting-mount'
import type { Counting } from '../page-references'
import type { PhysicalExtent, Proof, Scan } from '../source'
import { nodeOf } from './device-node'
import type { Helper } from './helper'
import { accountLost, describeReferenced, type Made } from './instance'

/** The device over an allocation's memory. */
export interface Device extends Made {
  bytes: number
  extents: PhysicalExtent[]
  /** The broker has given a descriptor of it away. That descriptor may be anywhere now. */
  given: boolean
  /** Everybody opened it through its own node, so the kernel's count says whether anybody has it open. */
  counted: boolean
  /** The uid that owns its node. */
  openBy: number | undefined
}

export const cannotTell =
  "the broker can't see whether the kernel still refers to its pages, so memory that it handed out comes back at the next boot only"

interface Means {
  readonly counting: Counting | string
  readonly helper: Helper
  readonly unitBytes: number
  readonly scan: Scan | undefined
  readonly withPages: boolean
}

/** Nobody has it open, so nobody can make a new reference to its pages. The kernel counts no old one. */
export async function proveDevice(
  device: Device | undefined,
  { counting, helper, unitBytes, scan, withPages }: Means,
): Promise<Proof> {
  if (!device?.given) return { kind: 'gone' }
  const { name, extents } = device
  const counted = device.counted && hasMount(name)
  const lost = typeof counting === 'string' ? `${cannotTell}: ${counting}` : counted ? undefined : accountLost
  if (lost !== undefined) {
    const pids = await holders({ ...device, counted }, scan)
    return { kind: 'held', pids, unseen: true, why: lost }
  }
  if (!isClosedEverywhere(name)) {
    const pids = await holders(device, scan)
    return { kind: 'held', pids, unseen: true, passing: pids.length === 0 }
  }
  if (!withPages) return { kind: 'gone' }
  const units = await helper.count({ extents, unitBytes })
  return units === 0
    ? { kind: 'gone' }
    : { kind: 'held', pids: [], unseen: true, why: describeReferenced(units, unitBytes), passing: true }
}

async function holders(device: Device, scan: Scan | undefined): Promise<number[]> {
  return scan ? (await scan(statSync(pathOf(device)))).holders.map(({ pid }) => pid) : []
}

export function pathOf({ name, counted }: Device): string {
  return counted ? nodeOf(name) : `/dev/${name}`
}
