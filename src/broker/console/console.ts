import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Registry } from 'prom-client'
import { WebSocketServer } from 'ws'
import { messageBytesMax } from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import type { ConsoleSettings } from '../config/console-settings'
import type { Session } from '../session/session'
import type { ConsoleHost } from './console-host'
import { Gate, type Rejection, Rejections, subprotocol } from './gate'
import { loadPage, type Page, sendPage, sendRejection, sendText, turnAway } from './http-reply'
import { metricsOf } from './metrics'
import { Token } from './token'
import { Viewers } from './viewers'

/** Time between attempts to listen where another program listens. */
const retryMs = 2000

/** Anybody on this host can connect. Beyond so many, the oldest makes room. */
const strangersMax = 64

/** A request must arrive within this time, and the client must take the answer within it. */
const patienceMs = 5000

/** After the request to close, a viewer has so long to go. */
const farewellMs = 1000

/** The page's own nonce may follow it. */
const challenge = /^\/challenge(?:\?([\w-]{43}))?$/

const webSocketOptions = {
  noServer: true,
  clientTracking: false,
  maxPayload: messageBytesMax,
  perMessageDeflate: false,
  handleProtocols: () => subprotocol,
  closeTimeout: farewellMs,
}

/** The page, the metrics, and the protocol over WebSockets, on a loopback port. If the console fails, the broker goes on. */
export class Console {
  private readonly http = createServer({
    maxHeaderSize: 8192,
    headersTimeout: patienceMs,
    requestTimeout: patienceMs,
    connectionsCheckingInterval: 1000,
  })
  private readonly webSockets = new WebSocketServer(webSocketOptions)
  private readonly strangers = new Set<Socket>()
  private readonly rejections: Rejections
  private readonly metrics: Registry
  private readonly token: Token
  private readonly metricsToken: Token
  private readonly page: Page | undefined
  private gate: Gate | undefined
  private failure: Error | undefined
  private viewers: Viewers | undefined

  private constructor(
    private readonly broker: ConsoleHost,
    private readonly settings: ConsoleSettings,
  ) {
    this.token = Token.keptIn(`${broker.settings.socket}.token`, broker.log, broker.settings.admins)
    this.metricsToken = Token.keptIn(`${broker.settings.socket}.metrics-token`, broker.log)
    this.rejections = new Rejections(broker.log)
    this.page = this.findPage()
    this.metrics = metricsOf(broker, {
      viewers: () => this.viewers?.count ?? 0,
      recovering: () => this.viewers === undefined,
      rejected: this.rejections.counts,
    })
    this.http.setTimeout(patienceMs)
    this.http.on('connection', (socket: Socket) => this.connected(socket))
    this.http.on('request', (request, response) => this.answer(request, response))
    this.http.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head))
  }

  /** Listens, or keeps trying. undefined: there is no console. */
  static async start(broker: ConsoleHost, settings: ConsoleSettings): Promise<Console | undefined> {
    try {
      const started = new Console(broker, settings)
      await started.listen()
      return started
    } catch (err) {
      broker.log.error({ err }, 'there is no console')
      return undefined
    }
  }

  /** Lets viewers in from now on. */
  serve(onCall: (session: Session, call: Call) => void): void {
    this.viewers = new Viewers(this.broker, this.settings, onCall)
  }

  /**
   * The address with the token in the fragment, which a browser never sends. @throws the reason why the console does not listen
   */
  get url(): string {
    if (this.failure) throw this.failure
    return `http://${this.authority}/#token=${this.token.text}`
  }

  /** Replaces the token, and closes open pages. */
  renewToken(why: string): void {
    this.broker.log.warn({ why }, 'the console gets a new token')
    try {
      this.token.renew(this.broker.settings.admins)
    } catch (err) {
      this.broker.log.error({ err }, "the console's token can not be stored; the next broker makes another")
    }
    this.viewers?.close()
  }

  /** Lets new administrators see the token. */
  admit(): void {
    try {
      this.token.admit(this.broker.settings.admins)
    } catch (err) {
      this.broker.log.error(
        { err },
        "the uids that may see the console's token can not be stored; the next broker makes another",
      )
    }
  }

  stop(): void {
    this.http.close()
    this.viewers?.close()
  }

  private get authority(): string {
    const { address, port } = this.http.address() as AddressInfo
    return `${address.includes(':') ? `[${address}]` : address}:${port}`
  }

  private findPage(): Page | undefined {
    try {
      return loadPage()
    } catch (err) {
      this.broker.log.error({ err }, 'the page of the console is missing')
      return undefined
    }
  }

  /** Resolves after the first attempt, whatever its result. */
  private listen(): Promise<void> {
    const { broker, http, settings } = this
    return new Promise(resolve => {
      const failed = (err: Error) => {
        if (!this.failure) broker.log.error({ err }, 'the console can not listen; it goes on trying')
        this.failure = err
        http.off('listening', listening)
        setTimeout(() => this.listen(), retryMs).unref()
        resolve()
      }
      const listening = () => {
        http.off('error', failed)
        http.on('error', err => broker.log.error({ err }, 'the console can not accept'))
        this.failure = undefined
        this.gate = new Gate(
          this.token,
          this.metricsToken,
          settings.host,
          (http.address() as AddressInfo).port,
        )
        broker.log.info({ address: this.authority }, 'the console listens')
        resolve()
      }
      http.once('error', failed)
      http.once('listening', listening)
      http.listen(settings.port, settings.host)
    })
  }

  private connected(socket: Socket): void {
    this.strangers.add(socket)
    socket.once('close', () => this.strangers.delete(socket))
    if (this.strangers.size <= strangersMax) return
    const [oldest] = this.strangers
    oldest!.destroy()
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const rejection = this.gate!.checkHost(request) ?? this.checkRequest(request)
    if (rejection) this.reject(response, rejection)
    else if (request.url === '/') sendPage(response, this.page!, request.headers.host!)
    else if (challenge.test(request.url!))
      sendText(response, this.gate!.challenge(challenge.exec(request.url!)![1]))
    else
      this.metrics.metrics().then(
        text => sendText(response, text, this.metrics.contentType),
        err => {
          this.broker.log.error({ err }, 'the metrics could not be read')
          this.reject(response, { status: 500, reason: 'the metrics could not be read' })
        },
      )
  }

  private checkRequest(request: IncomingMessage): Rejection | undefined {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return { status: 405, reason: 'only GET and HEAD' }
    if (challenge.test(request.url!)) return this.gate!.checkOrigin(request)
    switch (request.url) {
      case '/':
        return this.page ? undefined : { status: 503, reason: 'the page is not built' }
      case '/socket':
        return this.gate!.checkAsking(request) ?? this.checkRoom() ?? noUpgrade
      case '/metrics':
        return this.gate!.checkBearer(request)
      default:
        return nothingHere
    }
  }

  private reject(response: ServerResponse, rejection: Rejection): void {
    this.rejections.note(rejection.reason)
    sendRejection(response, rejection)
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const rejection = this.gate!.checkHost(request) ?? this.checkUpgrade(request)
    if (rejection) {
      this.rejections.note(rejection.reason)
      turnAway(socket, rejection)
      return
    }
    this.webSockets.handleUpgrade(request, socket, head, webSocket => {
      this.strangers.delete(request.socket)
      this.viewers!.admit(webSocket, request.socket)
    })
  }

  private checkUpgrade(request: IncomingMessage): Rejection | undefined {
    if (request.url !== '/socket') return nothingHere
    return this.gate!.checkUpgrade(request) ?? this.checkRoom()
  }

  private checkRoom(): Rejection | undefined {
    if (!this.viewers) return { status: 503, reason: 'the broker is starting' }
    if (this.viewers.full) return { status: 503, reason: 'too many viewers' }
    return undefined
  }
}

const noUpgrade = { status: 426, reason: 'this is a WebSocket' }
const nothingHere = { status: 404, reason: 'nothing is here' }
