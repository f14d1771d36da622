import type { Broker } from '../../../src/client'
import type { Host } from './host'

const windowBytes = 32 * 2 ** 20
const zeros = Buffer.alloc(windowBytes)

/** Waits until nothing is retired, then looks at every free byte of the range through one allocation of all of it. */
export async function allFreeMemoryIsZero(host: Host, broker: Broker, range: string): Promise<void> {
  const find = async () => (await broker.ranges()).find(({ name }) => name === range)!
  await host.until(async () => {
    const { scrubbingBytes, quarantinedBytes } = await find()
    return scrubbingBytes + quarantinedBytes === 0
  }, `nothing of ${range} is retired any more`)
  const { freeBytes } = await find()
  const probe = await broker.allocate({ name: 'probe', size: freeBytes, range })
  const mapping = await probe.map({ access: 'read' })
  for (let offset = 0; offset < freeBytes; offset += windowBytes) {
    const length = Math.min(windowBytes, freeBytes - offset)
    const bytes = mapping.window({ offset, length })
    host.check(bytes.equals(zeros.subarray(0, length)), `free memory is zero from ${offset} on`)
  }
  await mapping.close()
  host.same(await probe.release(), 'released', 'end of the probe')
}

/** The lines of the broker's log in which a step of a revocation is told. */
export function stepsIn(log: string, allocation: string): string[] {
  return log
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line) as { allocation?: string; msg: string })
    .filter(line => line.allocation === allocation && line.msg.startsWith('revocation: '))
    .map(({ msg }) => msg.slice('revocation: '.length))
}
