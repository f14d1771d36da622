import { closeSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Registry } from 'prom-client'
import { type WebSocket, WebSocketServer } from 'ws'
import type { ChannelEvents } from '../../../protocol/wire/channel'
import { messageBytesMax, responderLimits } from '../../../protocol/wire/limits'
import { type Call, Responder } from '../../../protocol/wire/responder'
import type { Broker } from '../broker'
import type { ConsoleSettings } from '../config/console-settings'
import { OutputMeter } from '../session/output-meter'
import type { Session } from '../session/session'
import { Gate, type Rejection, subprotocol } from './gate'
import { metricsOf } from './metrics'
import { loadPage, type Page, securityHeaders } from './page-file'
import { Token } from './token'
import { Viewer } from './viewer'
import { webSocketChannel } from './web-socket-channel'

/** Between attempts to listen where another program does. */
const retryMs = 2000

/** A viewer that answers none of two in a row is gone, or does not read. */
const pingMs = 5000

/** Without the token anybody on this host can connect; of more than this the oldest makes room. */
const strangersMax = 64

/** Time for a request to arrive, and for a viewer to say good-bye. */
const patienceMs = 5000

const headerBytesMax = 8192

const webSocketOptions = {
  noServer: true,
  clientTracking: false,
  maxPayload: messageBytesMax,
  perMessageDeflate: false,
  handleProtocols: () => subprotocol,
  closeTimeout: patienceMs,
}

/** The page, the metrics, and the protocol over WebSockets, on a loopback port. Its troubles are not the broker's. */
export class Console {
  private readonly http = createServer({
    maxHeaderSize: headerBytesMax,
    headersTimeout: patienceMs,
    requestTimeout: patienceMs,
    connectionsCheckingInterval: 1000,
  })
  private readonly webSockets = new WebSocketServer(webSocketOptions)
  private readonly strangers = new Set<Socket>()
  private readonly viewers = new Map<Viewer, Responder>()
  private readonly meter = new OutputMeter()
  private readonly metrics: Registry
  private readonly refusedFor = new Map<string, number>()
  private readonly token: Token
  private readonly page: Page | undefined
  private gate: Gate | undefined
  private failure: Error | undefined
  private onCall: ((session: Session, call: Call) => void) | undefined

  private constructor(
    private readonly broker: Broker,
    private readonly settings: ConsoleSettings,
  ) {
    this.token = Token.keptIn(`${broker.settings.socket}.token`, broker.log)
    this.page = this.findPage()
    this.metrics = metricsOf(broker, {
      viewers: () => this.viewers.size,
      recovering: () => this.onCall === undefined,
      refused: this.refusedFor,
    })
    this.http.on('connection', (socket: Socket) => this.connected(socket))
    this.http.on('request', (request, response) => this.answer(request, response))
    this.http.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head))
  }

  /** Begins to listen; undefined where the configuration has no console, or it can't be had. */
  static start(broker: Broker): Console | undefined {
    const settings = broker.settings.console
    if (!settings) return undefined
    try {
      const started = new Console(broker, settings)
      started.listen()
      return started
    } catch (err) {
      broker.log.error({ err }, 'there is no console')
      return undefined
    }
  }

  /** From now on viewers are let in. */
  serve(onCall: (session: Session, call: Call) => void): void {
    this.onCall = onCall
  }

  /** With the token in the fragment, which a browser never sends. Throws why it does not listen. */
  get url(): string {
    if (this.failure) throw this.failure
    return `http://${this.authority}/#token=${this.token.text}`
  }

  private get authority(): string {
    const { address, port } = this.http.address() as AddressInfo
    return `${address.includes(':') ? `[${address}]` : address}:${port}`
  }

  stop(): void {
    this.http.close()
    for (const responder of this.viewers.values()) responder.close()
  }

  private findPage(): Page | undefined {
    try {
      return loadPage()
    } catch (err) {
      this.broker.log.error({ err }, 'the page of the console is missing')
      return undefined
    }
  }

  private listen(): void {
    const { host, port } = this.settings
    this.http.once('error', err => {
      if (!this.failure) this.broker.log.error({ err }, 'the console can not listen; it tries again')
      this.failure = err
      setTimeout(() => this.listen(), retryMs).unref()
    })
    this.http.listen(port, host, () => {
      this.failure = undefined
      this.http.removeAllListeners('error')
      this.http.on('error', err => this.broker.log.error({ err }, 'the console can not accept'))
      this.gate = new Gate(this.token, host, (this.http.address() as AddressInfo).port)
      this.broker.log.info({ address: this.authority }, 'the console listens')
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
    response.setHeader('connection', 'close')
    const rejection = this.gate!.checkHost(request) ?? checkMethod(request)
    if (rejection) this.reject(rejection, response)
    else if (request.url === '/') this.sendPage(request, response)
    else if (request.url === '/metrics') this.sendMetrics(request, response)
    else this.reject(nothingHere, response)
  }

  private sendPage({ headers }: IncomingMessage, response: ServerResponse): void {
    if (!this.page) return void this.reject({ status: 503, reason: 'the page is not built' }, response)
    send(response, 'text/html', this.page.html, securityHeaders(this.page, headers.host!))
  }

  private sendMetrics(request: IncomingMessage, response: ServerResponse): void {
    const rejection = this.gate!.checkBearer(request)
    if (rejection) return void this.reject(rejection, response)
    this.metrics.metrics().then(
      text => send(response, this.metrics.contentType, text),
      err => {
        this.broker.log.error({ err }, 'metrics could not be collected')
        this.reject({ status: 500, reason: 'metrics could not be collected' }, response)
      },
    )
  }

  private reject({ status, reason }: Rejection, response: ServerResponse): void {
    this.refused(reason)
    response.statusCode = status
    if (status === 405) response.setHeader('allow', 'GET, HEAD')
    send(response, 'text/plain', `${reason}\n`)
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const rejection = this.gate!.checkHost(request) ?? this.checkViewer(request)
    if (rejection) {
      this.refused(rejection.reason)
      turnAway(socket, rejection)
      return
    }
    this.webSockets.handleUpgrade(request, socket, head, webSocket => {
      this.strangers.delete(request.socket)
      this.admit(webSocket, request.socket)
    })
  }

  private checkViewer(request: IncomingMessage): Rejection | undefined {
    if (request.url !== '/socket') return nothingHere
    const rejection = this.gate!.checkUpgrade(request)
    if (rejection) return rejection
    if (!this.onCall) return { status: 503, reason: 'the broker is starting' }
    if (this.viewers.size >= this.settings.viewersMax) return { status: 503, reason: 'too many viewers' }
    return undefined
  }

  private admit(webSocket: WebSocket, { remoteAddress, remotePort }: Socket): void {
    const { broker } = this
    const viewer = new Viewer(`${remoteAddress}:${remotePort}`, this.settings, broker)
    const open = (events: ChannelEvents) =>
      this.meter.channel(webSocketChannel(webSocket, events), viewer.uid, () => {
        broker.log.warn({ viewer: viewer.id }, 'the viewers read too few of their replies; one is dropped')
        setImmediate(() => responder.close())
      })
    const responder = new Responder(open, {
      closeFd: closeSync,
      limits: responderLimits,
      defer: setImmediate,
      onCall: call => {
        viewer.calls++
        this.onCall!(viewer, call)
      },
      onClose: error => this.ended(viewer, error),
    })
    this.viewers.set(viewer, responder)
    broker.sessions.add(viewer)
    broker.statistics.connections++
    keepAsking(webSocket, () => {
      broker.log.warn({ viewer: viewer.id }, 'a viewer does not answer and is dropped')
      webSocket.terminate()
    })
    broker.log.info({ viewer: viewer.id, from: viewer.command }, 'a viewer has connected')
    broker.events.emit({ kind: 'connected', uid: viewer.uid, detail: viewer.command })
  }

  private ended(viewer: Viewer, error: Error | undefined): void {
    const { broker } = this
    this.viewers.delete(viewer)
    broker.sessions.delete(viewer)
    const reason = error?.message
    if (reason !== undefined) broker.log.warn({ viewer: viewer.id, reason }, 'viewer dropped')
    else broker.log.info({ viewer: viewer.id }, 'a viewer has disconnected')
    broker.events.emit({ kind: 'disconnected', uid: viewer.uid, detail: reason ?? viewer.command })
  }

  private refused(reason: string): void {
    this.refusedFor.set(reason, (this.refusedFor.get(reason) ?? 0) + 1)
    this.broker.log.debug({ reason }, 'a request to the console was refused')
  }
}

function send(
  response: ServerResponse,
  type: string,
  body: string | Buffer,
  headers = securityHeaders(undefined, ''),
): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  response.setHeader('content-type', type.includes(';') ? type : `${type}; charset=utf-8`)
  response.end(body)
}

const nothingHere = { status: 404, reason: 'nothing is here' }

function checkMethod({ method }: IncomingMessage): Rejection | undefined {
  if (method === 'GET' || method === 'HEAD') return undefined
  return { status: 405, reason: 'only GET and HEAD' }
}

/** The server has let go of a connection that asks for an upgrade, and its time limits with it. */
function turnAway(socket: Duplex, { status, reason }: Rejection): void {
  socket.on('error', () => {})
  socket.once('finish', () => socket.destroy())
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'Connection: close',
      'Content-Type: text/plain; charset=utf-8',
      'X-Content-Type-Options: nosniff',
      `Content-Length: ${reason.length + 1}`,
      '',
      `${reason}\n`,
    ].join('\r\n'),
  )
}

/** Two questions, not one: after a long turn of ours the answer waits in the socket. */
function keepAsking(webSocket: WebSocket, onSilence: () => void): void {
  let unanswered = 0
  webSocket.on('pong', () => {
    unanswered = 0
  })
  const timer = setInterval(() => {
    if (unanswered++ >= 2) onSilence()
    else webSocket.ping()
  }, pingMs)
  webSocket.once('close', () => clearInterval(timer))
}
