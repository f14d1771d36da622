/**
 * A client that maps, writes and unmaps for as long as its kernel runs, over deaths and freezes of the broker, and repeats what
 * was lost in one: node mapper.js SOCKET NAME LOG. The log gets a line for each count that is in the memory.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Allocation, type Broker, BrokerError, connect, MiB } from '../../../src/client'

const restMs = 50

/** While the broker is away, or refuses changes for an update. */
async function again<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      const passes = ['BrokerUnreachable', 'ConnectionLost', 'Frozen'] as const
      if (!(error instanceof BrokerError) || !passes.some(code => code === error.code)) throw error
    }
    await sleep(restMs)
  }
}

/** The kernel before had one of this name, or nobody. */
async function take(broker: Broker, name: string): Promise<Allocation> {
  try {
    return (await broker.claim(name)).allocation
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'NotFound') throw error
    return broker.allocate({ name, size: MiB, range: 'kept' })
  }
}

async function main(socket: string, name: string, log: string): Promise<never> {
  const file = openSync(log, 'a')
  process.once('exit', () => closeSync(file))
  const broker = await connect({ socket })
  const allocation = await again(() => take(broker, name))
  for (;;) {
    const mapping = await again(() => allocation.map())
    const window = mapping.window()
    const count = window.readUInt32LE(0) + 1
    window.writeUInt32LE(count, 0)
    writeSync(file, `${count}\n`)
    await again(() => mapping.close())
    await sleep(restMs)
  }
}

if (require.main === module) {
  const [socket, name, log] = process.argv.slice(2)
  main(socket!, name!, log!).catch((error: Error) => {
    console.error(error.stack)
    process.exit(1)
  })
}
