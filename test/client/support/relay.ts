import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import path from 'node:path'
import type { TestBroker } from '../../support/test-broker'

/** 'call Freeze 1', before the broker gets it; 'reply Freeze 1', when it is done and the caller does not know. */
type OnMessage = (step: string) => boolean

/** A way to a broker by which each message is known before it arrives. onMessage: whether it, and all connections, are lost. */
export class Relay {
  private readonly sockets = new Set<Socket>()
  private readonly seen = new Map<string, number>()
  private server: Server | undefined
  readonly socket: string

  constructor(
    private readonly broker: TestBroker,
    private readonly onMessage: OnMessage,
  ) {
    this.socket = path.join(broker.folder, 'relay.sock')
  }

  async listen(): Promise<void> {
    const server = createServer(caller => this.join(caller))
    this.server = server
    await new Promise<void>(resolve => server.listen(this.socket, resolve))
  }

  /** Nobody answers at its socket any more, as if the broker were dead. */
  close(): void {
    this.server?.close()
    for (const socket of this.sockets) socket.destroy()
    this.sockets.clear()
  }

  private join(caller: Socket): void {
    const broker = dial(this.broker.socket)
    const methods: string[] = []
    this.pass(caller, broker, ({ method }) => {
      methods.push(method.split('.').at(-1)!)
      return `call ${methods.at(-1)}`
    })
    this.pass(broker, caller, ({ continues }) => `reply ${continues ? methods[0] : methods.shift()}`)
  }

  private pass(from: Socket, to: Socket, nameOf: (message: Message) => string): void {
    let rest = Buffer.alloc(0)
    this.sockets.add(from)
    from.on('error', () => {})
    from.on('close', () => to.destroy())
    from.on('data', data => {
      rest = Buffer.concat([rest, data])
      for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
        const name = nameOf(JSON.parse(rest.toString('utf8', 0, end)))
        const count = (this.seen.get(name) ?? 0) + 1
        this.seen.set(name, count)
        if (this.onMessage(`${name} ${count}`)) return this.close()
        to.write(rest.subarray(0, end + 1))
        rest = rest.subarray(end + 1)
      }
    })
  }
}

interface Message {
  readonly method: string
  readonly continues?: boolean
}
