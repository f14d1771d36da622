import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { ownPackage } from '../../../../native'
import type { AddressSpan } from '../../../../protocol/kernel/address-span'
import {
  type Reservation,
  reservationOf,
  type SourceKeys,
  type SourceKind,
  sources,
} from '../../../../protocol/source'
import { exitCode, Failure } from '../exit'

/** A range that the broker has read from its configuration, with the keys of its source. Bytes. */
export interface ConfiguredRange extends Readonly<SourceKeys> {
  readonly name: string
  readonly source: SourceKind
  readonly bytes: number
  /** Bytes of the allocation table. */
  readonly tableBytes: number
  /** The persistent memory that it lies on (persistent-memory.ts). undefined: none, or nobody has looked. */
  readonly persistent?: AddressSpan | undefined
}

/** The parts of a configuration that broker-ctl needs. */
export interface BrokerConfiguration {
  readonly socket: string
  readonly ranges: readonly ConfiguredRange[]
}

/** The kernel preserves its memfds over kexec, at least during an update. */
export function isPreserved(range: ConfiguredRange): boolean {
  return sources[range.source].isPreserved?.({ ...range }) ?? false
}

/** A range on memory at a physical address. Of a filesystem on such memory it stands for all of that. */
export type PhysicalRange = ConfiguredRange & { readonly base: number }

export function physicalRanges(ranges: readonly ConfiguredRange[]): PhysicalRange[] {
  return ranges.flatMap(range => {
    const { persistent } = range
    if (persistent) return [{ ...range, base: persistent.start, bytes: persistent.end - persistent.start }]
    return sources[range.source].reservation === undefined ? [] : [range as PhysicalRange]
  })
}

/** The memory's name in the kernel's map. */
export function reservedAs({ source }: PhysicalRange): Reservation['as'] {
  return reservationOf(source)!.as
}

/** Returns the ranges whose memory is in files of a folder, with that folder. */
export type FolderRange = ConfiguredRange & { readonly path: string }

export function isInFolder(range: ConfiguredRange): range is FolderRange {
  return sources[range.source].files === 'inFolder'
}

export function isSoftReserved({ source }: ConfiguredRange): boolean {
  return sources[source].reservation?.as === 'softReserved'
}

export function spanOf({ base, bytes }: PhysicalRange): AddressSpan {
  return { start: base, end: base + bytes }
}

export const defaultConfiguration = '/etc/membroker.toml'

/** Lets the broker itself read its configuration: one program knows its meaning. @throws Failure with the broker's words */
export async function readConfiguration(file: string): Promise<BrokerConfiguration> {
  const { folder, bin } = ownPackage()
  const program = path.join(folder, bin.membrokerd!)
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [
      program,
      '--config',
      file,
      '--check',
      '--json',
    ])
    return JSON.parse(stdout)
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string }
    const words = (stderr || message).trim().replace(/^membrokerd: /, '')
    const elsewhere = existsSync(file) ? '' : '; --config FILE (-c) names another'
    throw new Failure('Configuration', words + elsewhere, exitCode.usage)
  }
}

/** lost: the range would be absent or unsafe. warning: the range would be there, and the operator should know something. */
export interface Finding {
  readonly range: string | null
  readonly result: 'lost' | 'warning'
  /** Stable, for programs. */
  readonly id: string
  /** A sentence. */
  readonly reason: string
}

export function lost({ name }: ConfiguredRange, id: string, reason: string): Finding {
  return { range: name, result: 'lost', id, reason }
}

export function warning({ name }: ConfiguredRange, id: string, reason: string): Finding {
  return { range: name, result: 'warning', id, reason }
}
