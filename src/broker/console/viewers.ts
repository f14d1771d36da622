import { closeSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { BrokerMethodName } from '../../../protocol/generated/broker'
import type { ChannelEvents } from '../../../protocol/wire/channel'
import { responderLimits } from '../../../protocol/wire/limits'
import { type Call, Responder } from '../../../protocol/wire/responder'
import type { ConsoleSettings } from '../config/console-settings'
import { ConnectionBudgets } from '../session/metered-channel'
import { Session } from '../session/session'
import type { ConsoleHost } from './console-host'
import { consoleRefusal } from './permission'
import { webSocketChannel } from './web-socket-channel'

const pingMs = 5000

/** Two, not one: after the broker was busy for long, the answer to the last ping is still in the socket. */
const unansweredMax = 2

/**
 * (uid_t)-1: no process has it, nothing can belong to it, and nobody can share anything with it. Not the broker's own uid: an
 * administrator who opens the console does not thereby become the owner of that uid's allocations.
 */
const noUid = 0xffffffff

/** One open page: an administrator's session without a process, with the rights that the configuration gives it. */
export class Viewer extends Session {
  /** Nobody sees the difference. Each sending costs the broker a system call, and wakes another process. */
  override readonly gatherEventsMs = 50

  constructor(
    private readonly address: string,
    private readonly settings: ConsoleSettings,
    broker: ConsoleHost,
  ) {
    super({ pid: 0, uid: noUid, gid: noUid, pidfd: -1 }, broker)
  }

  override get isAdmin(): boolean {
    return true
  }

  override get command(): string {
    return `console, ${this.address}`
  }

  override refusal(method: BrokerMethodName, parameters: unknown): string | undefined {
    return consoleRefusal(method, parameters, this.settings)
  }
}

/** The open pages. The broker answers each as it answers a client. */
export class Viewers {
  /** Includes viewers that must go and are not gone yet. */
  private readonly sockets = new Set<WebSocket>()
  private readonly responders = new Set<Responder>()
  private readonly budgets = new ConnectionBudgets(0)

  constructor(
    private readonly broker: ConsoleHost,
    private readonly settings: ConsoleSettings,
    private readonly onCall: (session: Session, call: Call) => void,
  ) {}

  get count(): number {
    return this.sockets.size
  }

  get full(): boolean {
    return this.count >= this.settings.viewersMax
  }

  /** transport: the stream below the WebSocket. */
  admit(socket: WebSocket, transport: Socket): void {
    const { broker } = this
    const address = `${transport.remoteAddress}:${transport.remotePort}`
    const viewer = new Viewer(address, this.settings, broker)
    const open = (events: ChannelEvents) =>
      this.budgets.metered(webSocketChannel(socket, transport, events), viewer.uid, () => {
        broker.log.warn({ viewer: viewer.id }, 'viewers read too few of their replies; one is dropped')
        setImmediate(() => responder.close())
      })
    const responder = new Responder(open, {
      closeFd: closeSync,
      limits: responderLimits,
      turns: broker.turns.of(() => viewer.uid),
      onHeld: this.budgets.held(viewer.uid),
      onCall: call => {
        viewer.calls++
        this.onCall(viewer, call)
      },
      onClose: error => {
        this.responders.delete(responder)
        this.ended(viewer, error)
      },
    })
    this.sockets.add(socket)
    socket.once('close', () => this.sockets.delete(socket))
    this.responders.add(responder)
    broker.sessions.add(viewer)
    broker.statistics.connections++
    this.keepAsking(socket, viewer)
    broker.log.info({ viewer: viewer.id, address }, 'a viewer has connected')
    broker.events.emit({ kind: 'connected', uid: viewer.uid, detail: viewer.command })
  }

  close(): void {
    for (const responder of [...this.responders]) responder.close()
  }

  private ended(viewer: Viewer, error: Error | undefined): void {
    const { broker } = this
    broker.sessions.delete(viewer)
    const reason = error?.message
    if (reason === undefined) broker.log.info({ viewer: viewer.id }, 'a viewer has disconnected')
    else broker.log.warn({ viewer: viewer.id, reason }, 'a viewer was dropped')
    broker.events.emit({ kind: 'disconnected', uid: viewer.uid, detail: reason ?? viewer.command })
  }

  /**
   * A viewer that vanished, or reads nothing, answers no ping. If too many calls wait, the broker does not read the answer
   * behind them either.
   */
  private keepAsking(socket: WebSocket, viewer: Viewer): void {
    let unanswered = 0
    socket.on('pong', () => {
      unanswered = 0
    })
    const timer = setInterval(() => {
      if (unanswered++ < unansweredMax) return socket.ping()
      const reason =
        socket.bufferedAmount > responderLimits.outputBytesMax
          ? 'does not read its replies'
          : socket.isPaused
            ? 'has too many calls waiting'
            : 'does not answer'
      this.broker.log.warn({ viewer: viewer.id }, `a viewer ${reason} and is dropped`)
      socket.terminate()
    }, pingMs)
    socket.once('close', () => clearInterval(timer))
  }
}
