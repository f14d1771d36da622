import type { Reservation, SourceDescription } from './description'
import { devdax } from './devdax'
import { devmem } from './devmem'
import { directory } from './directory'
import type { ValuesOf } from './key'
import { memfd } from './memfd'
import { pciBar } from './pci-bar'

export type { Reservation, SourceDescription } from './description'

/** The registry of all sources. The broker finds the code of each in src/broker/source, in the folder of its name. */
const registry = { directory, memfd, devdax, devmem, 'pci-bar': pciBar }

export type SourceKind = keyof typeof registry

export const sources: Readonly<Record<SourceKind, SourceDescription>> = registry

export const sourceKinds = Object.keys(registry) as readonly SourceKind[]

/** A range's values for the keys that only some sources have. */
export type SourceKeys = ValuesOf<Intersection<(typeof registry)[SourceKind]['keys']>>

type Intersection<Union> = (Union extends unknown ? (one: Union) => void : never) extends (
  all: infer All,
) => void
  ? All
  : never

export function kindsWhere(has: (source: SourceDescription) => boolean): SourceKind[] {
  return sourceKinds.filter(kind => has(sources[kind]))
}

/** The reserved memory that ranges of a kind lie on, or can lie on. */
export function reservationOf(kind: SourceKind): Reservation | undefined {
  return sources[kind].reservation ?? sources[kind].filesystemOn
}

/** undefined: a kind that only another version has. */
export function sourceOf(kind: string): SourceDescription | undefined {
  return Object.hasOwn(sources, kind) ? sources[kind as SourceKind] : undefined
}

/** The source of a broker without a configuration. */
export const defaultSource: SourceKind = 'directory'
