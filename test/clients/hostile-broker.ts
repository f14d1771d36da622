import { mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { Listener, listenUnix, Socket } from '../../native'
import { allocation as plainAllocation, range } from '../client/support/records'
import { status } from '../client/support/scripted-broker'

/** Bytes of one sendmsg(), and how many descriptors go with them. */
export interface Piece {
  readonly bytes: string | Buffer
  readonly fds?: number
}

export interface Script {
  /** The method whose call gets it; every other call gets what a broker says. */
  readonly method: string
  readonly pieces: readonly Piece[]
  /** Close the connection behind it. */
  readonly close?: boolean
  /** Send byte by byte. */
  readonly slow?: boolean
  /** Only the first such call gets it. */
  readonly once?: boolean
}

export const allocation = { ...plainAllocation, metadata: null, holderPid: null, verdict: 'intact' }

const good: Record<string, object> = {
  GetStatus: { parameters: status },
  ListRanges: { parameters: { ranges: [range] } },
  GetAllocation: { parameters: { allocation, mappings: [] } },
  Claim: { parameters: { outcome: 'nothing', grants: [] } },
  Watch: { parameters: { allocations: [], mappings: [], snapshotEnd: true }, continues: true },
}

const openNull = (count: number) => Array.from({ length: count }, () => openSync('/dev/null', 'r'))

/** A program at a socket that answers one method as its script says: byte for byte, with as many descriptors as it likes. */
export class HostileBroker {
  private readonly folder = mkdtempSync(path.join(tmpdir(), 'membroker-hostile-'))
  readonly socket = path.join(this.folder, 's')
  script: Script | undefined
  /** Instead of what a broker says, by method. */
  says: Record<string, Piece | (() => Piece)> = {}
  readonly calls: string[] = []
  private readonly listener = new Listener(
    listenUnix(this.socket, 16),
    fd => this.serve(fd),
    () => {},
  )
  private readonly sockets = new Set<InstanceType<typeof Socket>>()

  private serve(fd: number): void {
    let pending = Buffer.alloc(0)
    const socket: InstanceType<typeof Socket> = new Socket(fd, {
      onData: bytes => {
        pending = Buffer.concat([pending, bytes])
        for (let end = pending.indexOf(0); end >= 0; end = pending.indexOf(0)) {
          const { method } = JSON.parse(pending.toString('utf8', 0, end))
          pending = pending.subarray(end + 1)
          void this.answer(socket, method.slice(method.lastIndexOf('.') + 1))
        }
      },
      onEnd: () => this.drop(socket),
      onDrain: () => {},
    })
    this.sockets.add(socket)
  }

  private drop(socket: InstanceType<typeof Socket>): void {
    if (this.sockets.delete(socket)) socket.close()
  }

  private async answer(socket: InstanceType<typeof Socket>, method: string): Promise<void> {
    const { script } = this
    this.calls.push(method)
    if (script?.method !== method) {
      const said = this.says[method] ?? { bytes: `${JSON.stringify(good[method] ?? {})}\0` }
      const { bytes, fds = 0 } = typeof said === 'function' ? said() : said
      socket.send(Buffer.from(bytes), openNull(fds))
      return
    }
    if (script.once) this.script = undefined
    for (const { bytes, fds = 0 } of script.pieces) {
      const all = Buffer.from(bytes)
      const descriptors = openNull(fds)
      if (script.slow) {
        for (const [index] of all.entries()) {
          socket.send(all.subarray(index, index + 1), index === 0 ? descriptors : [])
          await turn()
        }
      } else socket.send(all, descriptors)
      // The kernel joins what nobody has read yet; what is to come apart is sent apart.
      await turn()
    }
    if (script.close) {
      while (this.sockets.has(socket) && socket.queuedBytes > 0) await turn()
      this.drop(socket)
    }
  }

  dispose(): void {
    this.listener.close()
    for (const socket of [...this.sockets]) this.drop(socket)
    rmSync(this.folder, { recursive: true, force: true })
  }
}
