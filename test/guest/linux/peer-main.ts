/** A stream peer as a process, for a network namespace of its own: node peer-main.js HOST. Each line of input asks for its status. */
import { createInterface } from 'node:readline'
import { StreamPeer } from './stream-peer'

const peer = new StreamPeer(process.argv[2]!)
createInterface(process.stdin)
  .on('line', () => console.log(JSON.stringify(peer.status())))
  .on('close', () => process.exit(0))
