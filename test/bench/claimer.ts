/** A client that does one thing and ends: claimer SOCKET allocate|claim NAME. Prints one line when it is answered. */
import { connect } from '../../src/client'

const [socket, what, name] = process.argv.slice(2)

async function main(): Promise<void> {
  const broker = await connect({ socket: socket! })
  if (what === 'allocate') await broker.allocate({ name: name!, size: 2 ** 21 })
  else await broker.claim(name!)
  console.log('answered')
  await broker.close()
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
