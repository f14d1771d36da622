/**
 * A client that allocates and releases until it is killed, and writes down what was answered, a line each, before it
 * goes on: node churn.js SOCKET PREFIX LOG
 *   ask NAME BYTES | got NAME | wrote NAME | give NAME | gone NAME
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { type Allocation, connect } from '../../../src/client'
import { fillWithPattern } from './physical-memory'

const MiB = 2 ** 20
const heldMax = 6

/** The pattern that an allocation of this name is filled with. */
export function seedOf(name: string): number {
  let seed = 0
  for (const letter of Buffer.from(name)) seed = (Math.imul(seed, 31) + letter) >>> 0
  return seed
}

async function main(socket: string, prefix: string, log: string): Promise<never> {
  const file = openSync(log, 'a')
  process.once('exit', () => closeSync(file))
  const tell = (...words: Array<string | number>) => writeSync(file, `${words.join(' ')}\n`)
  const broker = await connect({ socket })
  const held: Allocation[] = []
  for (let count = 0; ; count++) {
    const name = `${prefix}-${count}`
    const size = (1 + (seedOf(name) % 4)) * 2 * MiB
    tell('ask', name, size)
    const allocation = await broker.allocate({ name, size })
    tell('got', name)
    const mapping = await allocation.map()
    fillWithPattern(mapping.window(), seedOf(name))
    tell('wrote', name)
    held.push(allocation)
    if (held.length < heldMax) continue
    const [given] = held.splice(seedOf(`${name}?`) % held.length, 1)
    tell('give', given!.name)
    await given!.release()
    tell('gone', given!.name)
  }
}

if (require.main === module) {
  const [socket, prefix, log] = process.argv.slice(2)
  main(socket!, prefix!, log!).catch((error: Error) => {
    console.error(error.stack)
    process.exit(1)
  })
}
