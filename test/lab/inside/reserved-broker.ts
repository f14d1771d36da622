import { softReserved } from '../reserved'
import type { BrokerProcess } from './broker-process'
import type { Host } from './host'

/** Name of the broker's range over the soft-reserved memory. */
export const rangeName = 'reserved'

/** The configuration (TOML) of a broker that owns all of the lab's soft-reserved memory. */
export const reservedBroker = `
[[range]]
name = "${rangeName}"
source = "devdax"
base = "0x${softReserved.base.toString(16)}"
bytes = ${softReserved.bytes}
`

/** The same, where the policy at the deadline is to take memory from under those who hold it. */
export const takingBroker = `${reservedBroker}\n[revoke]\non_deadline = "take"\n`

/** Format the range, start a broker on it, and wait until all of the memory can be had. */
export async function startFresh(host: Host, config = reservedBroker): Promise<BrokerProcess> {
  await host.format(config, rangeName)
  const broker = await host.broker(config)
  await scrubbed(host)
  return broker
}

/** Wait until no memory is left to be overwritten before it is given out again. */
export async function scrubbed(host: Host): Promise<void> {
  const client = await host.connect()
  await host.until(async () => {
    const ranges = await client.ranges()
    return ranges.every(range => range.scrubbingBytes === 0 && range.quarantinedBytes === 0)
  }, 'the memory is scrubbed')
  await client.close()
}
