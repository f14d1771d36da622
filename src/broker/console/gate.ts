import type { IncomingMessage } from 'node:http'
import { Challenges } from './challenges'
import type { Purpose, Token } from './token'

/** The subprotocol that a page speaks; its proof comes as another one beside it, as a page can set no header. */
export const subprotocol = 'membroker'
const proofPrefix = 'membroker.proof.'

/** Why a request is turned away. */
export interface Rejection {
  status: number
  reason: string
  /** Where else to ask. */
  location?: string
}

/** Admission to the console. Any user of this host can connect, and any web site can make a browser here connect. */
export class Gate {
  private readonly challenges = new Challenges()
  /** As a browser sends it, which leaves the port of HTTP itself out. */
  private readonly host: string
  /** Names under which a browser may look for this address; at some of them another program can listen. */
  private readonly otherHosts: ReadonlySet<string>

  constructor(
    private readonly token: Token,
    private readonly metricsToken: Token,
    address: string,
    port: number,
  ) {
    const at = (name: string) => (port === 80 ? name : `${name}:${port}`)
    this.host = at(address.includes(':') ? `[${address}]` : address)
    this.otherHosts = new Set(['127.0.0.1', 'localhost', '[::1]'].map(at))
  }

  /** A nonce for a proof. If the page sends a nonce, also the broker's own proof. */
  challenge(nonce?: string): string {
    const challenge = this.challenges.issue()
    return nonce === undefined
      ? challenge
      : `${challenge}.${this.token.proofOf('broker', `${nonce} ${challenge}`)}`
  }

  /**
   * For every request: a site whose name was made to lead here (DNS rebinding) is known by the name. Of this host's names
   * only the address itself will do, as nobody else can listen there while the broker does.
   */
  checkHost({ headers, headersDistinct, method, url }: IncomingMessage): Rejection | undefined {
    if (headersDistinct.host?.length === 1) {
      if (headers.host === this.host) return undefined
      // The browser takes the token behind the address along.
      if (this.otherHosts.has(headers.host!) && url === '/' && method === 'GET')
        return { status: 308, reason: 'the console has one address', location: `http://${this.host}/` }
    }
    return { status: 421, reason: `the request is for another host: this is ${this.host}` }
  }

  /** For requests without a token. A browser does not name a page's own origin with a GET. */
  checkOrigin({ headers }: IncomingMessage): Rejection | undefined {
    if (headers.origin === undefined || headers.origin === `http://${headers.host}`) return undefined
    return { status: 403, reason: 'another origin' }
  }

  /** For Prometheus, which sends its token to any program that listens: the token opens nothing else. */
  checkBearer({ headers }: IncomingMessage): Rejection | undefined {
    const [, candidate] = /^Bearer ([\w-]+)$/.exec(headers.authorization ?? '') ?? []
    if (candidate !== undefined && this.metricsToken.equals(candidate)) return undefined
    return { status: 401, reason: 'the token is missing or wrong' }
  }

  /** For a page that asks why its WebSocket was not opened. */
  checkAsking({ headers }: IncomingMessage): Rejection | undefined {
    return this.checkProof('asking', /^Proof (.+)$/.exec(headers.authorization ?? '')?.[1])
  }

  /** For the page's WebSocket: its own origin, and a proof that it has the token. */
  checkUpgrade({ headers }: IncomingMessage): Rejection | undefined {
    if (headers.origin !== `http://${headers.host}`) return { status: 403, reason: 'another origin' }
    const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
    const proofs = offered.filter(name => name.startsWith(proofPrefix))
    const proof = proofs.length === 1 ? proofs[0]!.slice(proofPrefix.length) : undefined
    const rejection = this.checkProof('console', proof)
    if (rejection) return rejection
    if (!offered.includes(subprotocol)) return { status: 400, reason: 'another subprotocol' }
    return undefined
  }

  private checkProof(purpose: Purpose, text = ''): Rejection | undefined {
    const [, nonce, proof] = /^([\w-]{72})\.([\w-]{43})$/.exec(text) ?? []
    if (nonce === undefined) return wrongProof
    // Not 401: the token may be right, and the nonce that of the broker before.
    if (!this.challenges.isOpen(nonce)) return { status: 410, reason: 'the nonce is used or too old' }
    if (!this.token.proves(purpose, nonce, proof!)) return wrongProof
    this.challenges.use(nonce)
    return undefined
  }
}

const wrongProof = { status: 401, reason: 'the proof is missing or wrong' }
