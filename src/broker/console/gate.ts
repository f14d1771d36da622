import type { IncomingMessage } from 'node:http'
import type { Token } from './token'

/** The subprotocol that a page speaks; its token comes as another one beside it, as a page can set no header. */
export const subprotocol = 'membroker'
const tokenPrefix = 'membroker.token.'

/** Why a request is turned away. */
export interface Rejection {
  status: number
  reason: string
}

/** Whom the console lets in. Any user of this host can connect, and any web site can make a browser here try. */
export class Gate {
  private readonly hosts: ReadonlySet<string>

  constructor(
    private readonly token: Token,
    address: string,
    port: number,
  ) {
    const names = ['127.0.0.1', 'localhost', '[::1]', address.includes(':') ? `[${address}]` : address]
    // A browser leaves the port of HTTP itself out.
    this.hosts = new Set(names.flatMap(name => [`${name}:${port}`, ...(port === 80 ? [name] : [])]))
  }

  /** For every request: a site whose name was made to lead here (DNS rebinding) is known by the name. */
  checkHost({ headers, headersDistinct }: IncomingMessage): Rejection | undefined {
    if (headersDistinct.host?.length === 1 && this.hosts.has(headers.host!)) return undefined
    return { status: 421, reason: 'another host was meant' }
  }

  /** For a program that can set headers. */
  checkBearer({ headers }: IncomingMessage): Rejection | undefined {
    const [, candidate] = /^Bearer ([\w-]+)$/.exec(headers.authorization ?? '') ?? []
    if (candidate !== undefined && this.token.equals(candidate)) return undefined
    return { status: 401, reason: 'the token is missing or wrong' }
  }

  /** For the page's WebSocket: its own origin, and the token. */
  checkUpgrade({ headers }: IncomingMessage): Rejection | undefined {
    if (headers.origin !== `http://${headers.host}`) return { status: 403, reason: 'another origin' }
    const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
    const tokens = offered.filter(name => name.startsWith(tokenPrefix))
    const candidate = tokens.length === 1 ? tokens[0]!.slice(tokenPrefix.length) : undefined
    if (candidate === undefined || !this.token.equals(candidate))
      return { status: 401, reason: 'the token is missing or wrong' }
    if (!offered.includes(subprotocol)) return { status: 400, reason: 'another subprotocol' }
    return undefined
  }
}
