/**
 * A client that does one thing and ends; it prints a line when that is answered:
 *   claimer SOCKET allocate|claim NAME
 *   claimer SOCKET fill PREFIX COUNT [BYTES]    COUNT allocations, each mapped
 */
import { connect } from '../../src/client'

const [socket, what, name, count, bytes = '4096'] = process.argv.slice(2)
const inFlight = 64

async function main(): Promise<void> {
  const broker = await connect({ socket: socket! })
  const fill = async (index: number) =>
    (await broker.allocate({ name: `${name}${index}`, size: Number(bytes) })).map()
  if (what === 'allocate') await broker.allocate({ name: name!, size: 2 ** 21 })
  else if (what === 'claim') await broker.claim(name!)
  else
    for (let index = 0; index < Number(count); index += inFlight)
      await Promise.all(
        Array.from({ length: Math.min(inFlight, Number(count) - index) }, (_, more) => fill(index + more)),
      )
  console.log('answered')
  await broker.close()
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
