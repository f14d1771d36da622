import type { Broker, CallOptions } from '../index'
import { exitCode, Failure } from './exit'

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
  const away = (await broker.ranges(options)).find(({ table }) => table.recovery === 'unreadable')
  if (!away) return
  throw new Failure(
    'RangeAway',
    `${memory} may be in range '${away.name}', which the broker can't read: ${away.reason}. So no other is made. ` +
      `Bring the range back, or ${otherwise}`,
    exitCode.refused,
  )
}
