import {
  type BrokerMethodName,
  type BrokerMethods,
  brokerInterfaceName,
} from '../../../protocol/generated/broker'
import { prove } from './token'

const subprotocol = 'membroker'

/** A refusal of the broker, or the end of the connection (code 'Away'). */
export class CallFailed extends Error {
  constructor(
    readonly code: string,
    readonly parameters: Record<string, unknown> = {},
  ) {
    super(describeFailure(code, parameters))
  }
}

function describeFailure(code: string, parameters: Record<string, unknown>): string {
  const { reason, ...rest } = parameters
  const details = Object.entries(rest).map(([key, value]) => `${key} ${String(value)}`)
  const sentence = [typeof reason === 'string' ? reason : '', details.join(', ')].filter(part => part !== '')
  return sentence.length === 0 ? code : `${code}: ${sentence.join('; ')}`
}

interface Waiting {
  onReply: (parameters: unknown, continues: boolean) => void
  onFailure: (failure: CallFailed) => void
}

interface Message {
  parameters?: unknown
  continues?: boolean | null
  error?: string | null
}

/** Calls over one WebSocket, which they wait for until it is open; replies come in the order of the calls. */
export class Connection {
  private socket: WebSocket | undefined
  private readonly waiting: Waiting[] = []
  /** Calls made before it was open. */
  private readonly unsent: string[] = []
  private opened = false
  private closed = false

  constructor(
    token: string,
    private readonly events: { onOpen?: () => void; onClose: (wasOpen: boolean) => void },
  ) {
    this.open(token).catch(() => this.end())
  }

  call<Name extends BrokerMethodName>(
    method: Name,
    parameters: BrokerMethods[Name]['in'],
  ): Promise<BrokerMethods[Name]['out']> {
    return new Promise((resolve, reject) => {
      this.send(method, parameters, false, { onReply: reply => resolve(reply as never), onFailure: reject })
    })
  }

  /** Resolves with the end of the stream; onReply gets every reply. */
  stream<Name extends BrokerMethodName>(
    method: Name,
    parameters: BrokerMethods[Name]['in'],
    onReply: (reply: BrokerMethods[Name]['out']) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.send(method, parameters, true, {
        onReply: (reply, continues) => {
          onReply(reply as BrokerMethods[Name]['out'])
          if (!continues) resolve()
        },
        onFailure: reject,
      })
    })
  }

  /** Does not tell onClose. */
  close(): void {
    this.closed = true
    this.socket?.close()
    this.failAll()
  }

  private async open(token: string): Promise<void> {
    const proof = await prove(token, 'console')
    if (this.closed) return
    const address = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/socket`
    const socket = new WebSocket(address, [subprotocol, `${subprotocol}.proof.${proof}`])
    socket.onopen = () => {
      if (this.closed) return
      this.opened = true
      for (const text of this.unsent.splice(0)) socket.send(text)
      this.events.onOpen?.()
    }
    socket.onmessage = ({ data }) => this.receive(data as string)
    socket.onclose = () => this.end()
    this.socket = socket
  }

  private send(method: BrokerMethodName, parameters: unknown, more: boolean, waiting: Waiting): void {
    if (this.closed) {
      waiting.onFailure(new CallFailed('Away'))
      return
    }
    this.waiting.push(waiting)
    const call = { method: `${brokerInterfaceName}.${method}`, parameters, ...(more && { more }) }
    const text = JSON.stringify(call)
    if (this.opened) this.socket!.send(text)
    else this.unsent.push(text)
  }

  private receive(text: string): void {
    if (this.closed) return
    let message: Message
    try {
      message = JSON.parse(text)
    } catch {
      // No broker sends that: begin anew.
      this.socket!.close()
      return
    }
    const continues = message.continues === true
    const call = continues ? this.waiting[0] : this.waiting.shift()
    if (!call) return
    const { error } = message
    const parameters = message.parameters ?? {}
    if (typeof error !== 'string') call.onReply(parameters, continues)
    else {
      const code = error.replace(`${brokerInterfaceName}.`, '')
      call.onFailure(new CallFailed(code, parameters as Record<string, unknown>))
    }
  }

  private end(): void {
    if (this.closed) return
    this.closed = true
    this.failAll()
    this.events.onClose(this.opened)
  }

  private failAll(): void {
    for (const { onFailure } of this.waiting.splice(0)) onFailure(new CallFailed('Away'))
  }
}
