import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { guestPort, StreamPeer } from '../guest/linux/stream-peer'
import type { Share } from './share'

const tellMs = 200
/** A machine that emulates machines is not quick. */
const pauseMs = 5000

/**
 * Of the run's folder. While it is there the peers write nothing: the network that QEMU makes gives a connection up where
 * bytes have no answer for two minutes, which a busy machine may take for a kexec.
 */
export const quietFile = 'peers-quiet'

/** Guests of the machine that somebody outside of it talks to: an address each. */
export type Outside = Readonly<Record<string, string>>

/**
 * Peers of the machine's guests, outside of it: they live on while the machine's kernel is replaced, and so does their end
 * of each connection. What they have seen is a file of the run's folder, peer-NAME.json.
 */
export class Peers {
  private peers = new Map<string, StreamPeer>()
  private telling: NodeJS.Timeout | undefined

  private constructor(
    private readonly outside: Outside,
    private readonly ports: ReadonlyMap<string, number>,
  ) {}

  static async of(outside: Outside): Promise<Peers> {
    const ports = new Map<string, number>()
    for (const name of Object.keys(outside)) ports.set(name, await freePort())
    return new Peers(outside, ports)
  }

  /** The machine's first network device, from which the guests can be reached. */
  get machineArguments(): string[] {
    if (this.ports.size === 0) return []
    const forwards = Object.entries(this.outside).map(
      ([name, address]) => `,hostfwd=tcp:127.0.0.1:${this.ports.get(name)}-${address}:${guestPort}`,
    )
    return [
      ...['-netdev', `user,id=outside,restrict=on${forwards.join('')}`],
      ...['-device', 'virtio-net-pci,netdev=outside'],
    ]
  }

  start(share: Share): void {
    for (const [name, port] of this.ports) this.peers.set(name, new StreamPeer('127.0.0.1', port, pauseMs))
    this.telling = setInterval(() => {
      for (const [name, peer] of this.peers) {
        peer.quiet = existsSync(share.at(quietFile))
        const file = share.at(peerFile(name))
        writeFileSync(`${file}.part`, JSON.stringify(peer.status()))
        renameSync(`${file}.part`, file)
      }
    }, tellMs)
  }

  close(): void {
    clearInterval(this.telling)
    for (const peer of this.peers.values()) peer.close()
  }
}

export function peerFile(name: string): string {
  return `peer-${name}.json`
}

/** Of this machine, on loopback. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
