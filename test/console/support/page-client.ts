import { WebSocket } from 'ws'
import type { BrokerMethodName, BrokerMethods } from '../../../protocol/generated/broker'
import { brokerInterfaceName } from '../../../protocol/generated/broker'
import { methodTraits } from '../../../protocol/methods'
import { until } from '../../support/test-broker'
import { prove } from './prove'

interface Reply {
  error?: string
  parameters: Record<string, unknown>
  continues?: boolean
}

/** Speaks to the console as the page does. */
export class PageClient {
  readonly replies: Reply[] = []
  closeCode: number | undefined

  private constructor(readonly socket: WebSocket) {
    socket.on('message', data => this.replies.push(JSON.parse(String(data))))
    socket.on('close', code => {
      this.closeCode = code
    })
    socket.on('error', () => {})
  }

  /** Rejects with the status when it is turned away. */
  static async connect(console: { host: string; token: string }): Promise<PageClient> {
    return PageClient.offer(console.host, await prove(console))
  }

  static offer(host: string, proof: string): Promise<PageClient> {
    const protocols = ['membroker', `membroker.proof.${proof}`]
    const socket = new WebSocket(`ws://${host}/socket`, protocols, { origin: `http://${host}` })
    const client = new PageClient(socket)
    return new Promise((resolve, reject) => {
      socket.once('open', () => resolve(client))
      socket.once('unexpected-response', (_, { statusCode }) => {
        socket.terminate()
        reject(new Error(`turned away: ${statusCode}`))
      })
      socket.once('error', reject)
    })
  }

  send(method: BrokerMethodName, parameters: object = {}, more = false): void {
    this.socket.send(
      JSON.stringify({ method: `${brokerInterfaceName}.${method}`, parameters, ...(more && { more }) }),
    )
  }

  /** The next reply to the only call under way. Rejects with the error's name and reason. */
  async call<Name extends BrokerMethodName>(
    method: Name,
    parameters: BrokerMethods[Name]['in'],
  ): Promise<BrokerMethods[Name]['out']> {
    const reply = await this.raw(method, parameters)
    if (reply.error !== undefined)
      throw new Error(
        `${reply.error.slice(brokerInterfaceName.length + 1)} ${JSON.stringify(reply.parameters)}`,
      )
    return reply.parameters as BrokerMethods[Name]['out']
  }

  async raw(method: BrokerMethodName, parameters: object): Promise<Reply> {
    const at = this.replies.length
    this.send(method, parameters, methodTraits[method].more === 'always')
    await until(() => this.replies.length > at || this.closeCode !== undefined, `a reply to ${method}`)
    const reply = this.replies[at]
    if (!reply) throw new Error(`closed: ${this.closeCode}`)
    return reply
  }

  until(wanted: (reply: Reply) => boolean): Promise<void> {
    return until(() => this.replies.some(wanted), 'that reply')
  }

  async untilClosed(): Promise<number> {
    await until(() => this.closeCode !== undefined, 'the connection has ended')
    return this.closeCode!
  }

  async close(): Promise<void> {
    this.socket.close()
    await this.untilClosed()
  }
}
