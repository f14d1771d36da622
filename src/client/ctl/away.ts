import type { Broker, CallOptions, Range } from '../index'
import { exitCode, Failure } from './exit'

/** The broker can't read it, and knows nothing of what it has. */
export const isAway = ({ table }: Range) => table.recovery === 'unreadable'

/**
 * Looks at the ranges before memory is made because the broker does not know it. A range that the broker can't read may have it.
 * Then other memory would take its place, and what it holds would seem to be lost.
 * @param otherwise what to do where the range does not come back
 * @throws Failure RangeAway
 */
export async function checkNoneAway(
  broker: Broker,
  memory: string,
  otherwise: string,
  options: CallOptions,
): Promise<void> {
  const away = whereAway(memory, await broker.ranges(options))
  if (away === undefined) return
  throw new Failure(
    'RangeAway',
    `${away}. So no other is made. Bring the range back, or ${otherwise}`,
    exitCode.refused,
  )
}

/**
 * The sentence about a range that the broker can't read, and that may have the memory. undefined: there is none.
 * @param name the range that has the memory, if it is known
 */
export function whereAway(memory: string, ranges: readonly Range[], name?: string): string | undefined {
  const away = ranges.find(range => isAway(range) && (name === undefined || name === range.name))
  return away && `${memory} may be in range '${away.name}', which the broker can't read: ${away.reason}`
}
