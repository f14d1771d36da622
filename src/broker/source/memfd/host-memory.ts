import { readdirSync, readFileSync, type Stats } from 'node:fs'
import path from 'node:path'
import { KiB, MiB } from '../../../../protocol/units'
import { SourceError } from '../../failure'
import { bootFrees, restartHere } from './live-sessions'

const groups = '/sys/fs/cgroup'
/** stat(2) counts in these. */
const blockBytes = 512

const readMeminfo = () => readFileSync('/proc/meminfo', 'latin1')

function bytesIn(meminfo: string, field: string): number {
  return KiB * Number(new RegExp(`^${field}: +([0-9]+) kB$`, 'm').exec(meminfo)?.[1] ?? 0)
}

/**
 * Bytes that the kernel could pin for preserved memfds just now. It pins none in the areas where it starts the next kernel
 * (kho_scratch), and moves what lies there.
 */
export function pinnableBytes(meminfo = readMeminfo()): number {
  return Math.max(0, bytesIn(meminfo, 'MemAvailable') - bytesIn(meminfo, 'CmaFree'))
}

/** Bytes that a new preserved memfd may have. */
export function preservableBytes(): number {
  return Math.min(pinnableBytes(), chargeableBytes())
}

/**
 * Memory for files that are to be preserved and exist already: the kernel fills their holes, brings swapped pages back, and
 * moves what lies where the next kernel starts. It does not say which file's pages are swapped. Where it finds no room, it ends the process that asks, and perhaps others.
 */
export class Room {
  private pinnable: number
  private chargeable: number
  private toMove: number
  private toSwapIn: number

  constructor(meminfo = readMeminfo(), chargeable = chargeableBytes()) {
    this.pinnable = pinnableBytes(meminfo)
    this.chargeable = chargeable
    this.toMove = Math.max(0, bytesIn(meminfo, 'CmaTotal') - bytesIn(meminfo, 'CmaFree'))
    const outBytes = bytesIn(meminfo, 'SwapTotal') - bytesIn(meminfo, 'SwapFree')
    this.toSwapIn = Math.max(0, outBytes - bytesIn(meminfo, 'SwapCached'))
  }

  /** @throws SourceError ENOSPC */
  take({ size, blocks }: Pick<Stats, 'size' | 'blocks'>): void {
    const filled = Math.min(size, blocks * blockBytes)
    const holes = size - filled
    // Blocks of a file count its swapped pages.
    const swapped = Math.min(filled, this.toSwapIn)
    const moved = Math.min(filled - swapped, this.toMove)
    const taken = holes + swapped
    const room = Math.min(this.pinnable - moved, this.chargeable)
    if (taken > room || moved > this.pinnable)
      throw Object.assign(
        new SourceError(
          `to preserve it takes ${taken + moved} bytes beside those that it has, and ${Math.max(0, room)} are free for that` +
            (swapped === 0
              ? ''
              : `; ${swapped} of them count because the host has swapped that much, and the kernel does not say whose pages`),
        ),
        { code: 'ENOSPC' },
      )
    this.pinnable -= taken + moved
    this.chargeable -= taken
    this.toMove -= moved
    this.toSwapIn -= swapped
  }
}

/** Bytes that this process' memory cgroups can still be charged with. A charge beyond that ends a process of the group. */
export function chargeableBytes(root = groups, own = ownGroup()): number {
  let bytes = Number.POSITIVE_INFINITY
  for (let group = own; ; group = path.dirname(group)) {
    const folder = path.join(root, group)
    const max = numberIn(path.join(folder, 'memory.max'))
    const current = numberIn(path.join(folder, 'memory.current'))
    if (max !== undefined && current !== undefined)
      bytes = Math.min(bytes, Math.max(0, max - current + reclaimableBytes(folder)))
    if (group === '/') return bytes
  }
}

/** Bytes of files that the kernel drops from a memory cgroup before it ends a process: not shared memory, not what is to be written. */
function reclaimableBytes(folder: string): number {
  const stat = textIn(path.join(folder, 'memory.stat')) ?? ''
  const of = (field: string) => Number(new RegExp(`^${field} ([0-9]+)$`, 'm').exec(stat)?.[1] ?? 0)
  const clean = of('inactive_file') + of('active_file') - of('file_dirty') - of('file_writeback')
  if (clean <= 0) return 0
  const groups = readdirSync(folder, { withFileTypes: true }).filter(entry => entry.isDirectory())
  const kept = groups.map(({ name }) => textIn(path.join(folder, name, 'memory.min'))?.trim() ?? '0')
  const keptBytes = kept.reduce(
    (sum, min) => sum + (min === 'max' ? Number.POSITIVE_INFINITY : Number(min)),
    0,
  )
  return Math.max(0, clean - keptBytes)
}

/** The kernel's records of a file's pages, as a part of them, and what the broker itself takes until it serves. */
const recordsPart = 1 / 256
const ownGrowthBytes = 32 * MiB

/** What a refusal says of preserved memory: whose it is, and what to do. */
const refusals = {
  stays: {
    isThere: 'has preserved',
    outcome: `all of them stay in the kernel. Raise the limit (systemctl set-property), ${restartHere}`,
  },
  unasked: {
    isThere: 'may have preserved',
    outcome:
      'no fd store would keep what the broker takes, so it has asked the kernel for none. ' +
      `Raise the limit (systemctl set-property), or give the service an fd store, ${restartHere}`,
  },
  tableTaken: {
    isThere: 'has preserved',
    outcome: `the broker has asked the kernel for the table already, and no fd store keeps that: ${bootFrees}`,
  },
}

/**
 * Whether this process' memory cgroups can be charged with so much preserved memory. If not, the kernel would end this process
 * in the middle, and that memory would be lost. @throws SourceError
 */
export function checkChargeable(bytes: number, state: keyof typeof refusals, room = chargeableBytes()): void {
  const needed = Math.ceil(bytes * (1 + recordsPart)) + ownGrowthBytes
  if (bytes === 0 || needed <= room) return
  const { isThere, outcome } = refusals[state]
  throw new SourceError(
    `${bytes} bytes that the kernel before ${isThere} need ${needed} bytes, and this service's cgroup may still have ${room} ` +
      `(MemoryMax=): ${outcome}`,
  )
}

/** Its path in the one hierarchy of cgroups 2. */
const ownGroup = () => /^0::(\/.*)$/m.exec(textIn('/proc/self/cgroup') ?? '')?.[1] ?? '/'

/** undefined: there is no such file, or no limit. */
function numberIn(file: string): number | undefined {
  const number = Number(textIn(file) ?? Number.NaN)
  return Number.isFinite(number) ? number : undefined
}

function textIn(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
