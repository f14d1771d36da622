import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { exitCode, Failure } from '../exit'
import { ownPackage } from '../package'
import type { Extent } from './extent'

/** A range as the broker reads it from its configuration. Bytes. */
export interface ConfiguredRange {
  readonly name: string
  readonly source: 'directory' | 'memfd' | 'devdax' | 'devmem' | 'pci-bar'
  readonly bytes: number
  readonly path: string
  /** Physical address, for the sources that have one. */
  readonly base: number | null
  readonly hugePageBytes: number
  /** Of the allocation table; a directory has it beside its allocations, as one more file. */
  readonly tableBytes: number
}

/** What broker-ctl needs of a configuration. */
export interface BrokerConfiguration {
  readonly socket: string
  readonly ranges: readonly ConfiguredRange[]
}

/** Of those that begin at a physical address, with it. */
export type PhysicalRange = ConfiguredRange & { readonly base: number }

export function physicalRanges(ranges: readonly ConfiguredRange[]): PhysicalRange[] {
  return ranges.filter(range => range.base !== null) as PhysicalRange[]
}

export function extentOf({ base, bytes }: PhysicalRange): Extent {
  return { start: base, end: base + bytes }
}

export const defaultConfiguration = '/etc/membroker.toml'

/** Lets the broker itself read its configuration: one place knows what it means. @throws Failure with its words */
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
    throw new Failure('Configuration', words, exitCode.usage)
  }
}
