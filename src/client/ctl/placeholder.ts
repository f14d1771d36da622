import { MiB } from '../index'

/** The values of one --map that the command's arguments can name. */
export interface MapFacts {
  readonly fd: number
  readonly path: string
  readonly size: number
  readonly align: number
}

/** {map.size} is of the first --map, {map2.size} of the second. No shell and no JSON gives that text a meaning. */
const placeholder = /\{map(\d*)\.(fd|path|size|mib|align)\}/g

/** Whether an argument has any. */
export function hasPlaceholder(args: readonly string[]): boolean {
  return args.some(arg => arg.search(placeholder) >= 0)
}

/** @throws RangeError for a --map that is not there */
export function fillIn(args: readonly string[], maps: readonly MapFacts[]): string[] {
  return args.map(arg =>
    arg.replaceAll(placeholder, (text, number: string, what: keyof MapFacts | 'mib') => {
      const facts = maps[number === '' ? 0 : Number(number) - 1]
      if (!facts) throw new RangeError(`${text}: there is no such --map`)
      return String(what === 'mib' ? Math.floor(facts.size / MiB) : facts[what])
    }),
  )
}

/**
 * The alignment for mappings of a range: its unit, on which a device insists, and at least a huge page, so that the
 * kernel can use one. A power of two, as QEMU demands.
 */
export function mapAlignment(alignBytes: number): number {
  const power = 2 ** Math.floor(Math.log2(alignBytes))
  return power === alignBytes ? Math.max(power, 2 * MiB) : 2 * MiB
}
