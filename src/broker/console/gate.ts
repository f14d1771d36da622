import type { IncomingMessage } from 'node:http'
import type { Logger } from '../log/log'
import { Challenges } from './challenges'
import type { Purpose, Token } from './token'

/**
 * The subprotocol that a page speaks. The page sends its proof as another subprotocol beside it, as a page can set no header.
 */
export const subprotocol = 'membroker'
const proofPrefix = 'membroker.proof.'

/** Why the console turns a request away. */
export interface Rejection {
  status: number
  reason: string
  /** The right address to ask. */
  location?: string
}

/** Admission to the console. Any user of this host can connect, and any web site can make a browser here connect. */
export class Gate {
  private readonly challenges = new Challenges()
  /** The name as a browser sends it: without the port, if that is HTTP's own. */
  private readonly host: string
  /** A browser may look for this address under these names; at some of them another program can listen. */
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

  /** Returns a nonce for a proof. If the page sends a nonce, it adds the broker's own proof. */
  challenge(nonce?: string): string {
    const challenge = this.challenges.issue()
    return nonce === undefined
      ? challenge
      : `${challenge}.${this.token.proofOf('broker', `${nonce} ${challenge}`)}`
  }

  /**
   * Checks every request: a site can make its name lead here (DNS rebinding), but the request then carries that name. Of this
   * host's names the console accepts only the address itself, as nobody else can listen there while the broker does.
   */
  checkHost({ headers, headersDistinct, method, url }: IncomingMessage): Rejection | undefined {
    if (headersDistinct.host?.length === 1) {
      if (headers.host === this.host) return undefined
      // The browser takes along the token that follows the address.
      if (this.otherHosts.has(headers.host!) && url === '/' && method === 'GET')
        return { status: 308, reason: 'the console has one address', location: `http://${this.host}/` }
    }
    return { status: 421, reason: `the request is for another host: this is ${this.host}` }
  }

  /** Checks requests without a token. A browser does not send a page's own origin with a GET. */
  checkOrigin({ headers }: IncomingMessage): Rejection | undefined {
    if (headers.origin === undefined || headers.origin === `http://${headers.host}`) return undefined
    return { status: 403, reason: 'another origin' }
  }

  /** Checks Prometheus, which sends its token to any program that listens. So this token opens nothing else. */
  checkBearer({ headers }: IncomingMessage): Rejection | undefined {
    const [, candidate] = /^Bearer ([\w-]+)$/.exec(headers.authorization ?? '') ?? []
    if (candidate !== undefined && this.metricsToken.equals(candidate)) return undefined
    return { status: 401, reason: 'the token is missing or wrong' }
  }

  /** Checks a page that asks why its WebSocket did not open. */
  checkAsking({ headers }: IncomingMessage): Rejection | undefined {
    return this.checkProof('asking', /^Proof (.+)$/.exec(headers.authorization ?? '')?.[1])
  }

  /** Checks the page's WebSocket: its own origin, and a proof that it has the token. */
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
    // Not 401: the token may be right, and the nonce may be of the earlier broker.
    if (!this.challenges.isOpen(nonce)) return { status: 410, reason: 'the nonce is used or too old' }
    if (!this.token.proves(purpose, nonce, proof!)) return wrongProof
    this.challenges.use(nonce)
    return undefined
  }
}

const wrongProof = { status: 401, reason: 'the proof is missing or wrong' }

/** Time between lines in the log: a refused client can come again at once, and must not fill a disk. */
const logMs = 1000

/** Counts the requests that the console turned away, by reason. */
export class Rejections {
  readonly counts = new Map<string, number>()
  private unlogged = 0
  private loggedAt = -logMs

  constructor(private readonly log: Logger) {}

  note(reason: string): void {
    this.counts.set(reason, (this.counts.get(reason) ?? 0) + 1)
    this.unlogged++
    const now = performance.now()
    if (now - this.loggedAt < logMs) return
    this.log.warn({ reason, requests: this.unlogged }, 'the console refused requests')
    this.loggedAt = now
    this.unlogged = 0
  }
}
