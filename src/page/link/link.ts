import type { BrokerMethodName, BrokerMethods, WatchOut } from '../../../protocol/generated/broker'
import { Signal } from '../signal'
import { CallFailed, Connection } from './connection'
import { forgetToken, keepToken, NotTheBroker, patience, prove } from './token'

export type LinkState =
  | { kind: 'connecting' }
  | { kind: 'live' }
  /** Since then the broker does not answer or admits no more viewers, or a program with another token answers. */
  | { kind: 'away'; since: number; attempts: number; but?: 'full' | 'stranger' }
  /** Something answers and does not let this page in. */
  | { kind: 'refused'; why: 'no-token' | 'wrong-token' }

const firstPauseMs = 250
const longestPauseMs = 4000

interface LinkEvents {
  /** Connected, for the first time or again; the page's knowledge of the broker is void, and no Watch runs. */
  onLive(): void
  onWatch(reply: WatchOut): void
}

/** Two connections to the broker, one for calls and one that watches; made again for as long as it takes. */
export class Link {
  readonly signal = new Signal()
  state: LinkState = { kind: 'connecting' }
  private calls: Connection | undefined
  private watching: Connection | undefined
  /** Opened together with the one for calls, because each takes a challenge and an answer. */
  private nextWatching: Connection | undefined
  private timer: ReturnType<typeof setTimeout> | undefined
  /** The token has opened a console, so a console that refuses it is another broker's. */
  private isKnown = false
  /** The page is left or reloaded, which closes connections too. */
  private leaving = false

  constructor(
    private token: string | undefined,
    private readonly events: LinkEvents,
  ) {}

  start(): void {
    addEventListener('pagehide', () => {
      this.leaving = true
    })
    if (this.token === undefined) this.become({ kind: 'refused', why: 'no-token' })
    else this.connect()
  }

  useToken(token: string): void {
    this.token = token
    this.isKnown = false
    this.state = { kind: 'connecting' }
    this.connect()
  }

  tryNow(): void {
    if (this.state.kind === 'away') this.connect()
  }

  call<Name extends BrokerMethodName>(
    method: Name,
    parameters: BrokerMethods[Name]['in'],
  ): Promise<BrokerMethods[Name]['out']> {
    return this.calls?.call(method, parameters) ?? Promise.reject(new CallFailed('Away'))
  }

  /** A connection of its own for long calls, as replies come in the order of the calls. */
  stream<Name extends BrokerMethodName>(
    method: Name,
    parameters: BrokerMethods[Name]['in'],
    onReply: (reply: BrokerMethods[Name]['out']) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const connection = new Connection(this.token ?? '', { onClose: () => reject(new CallFailed('Away')) })
      connection
        .stream(method, parameters, onReply)
        .then(resolve, reject)
        .finally(() => connection.close())
    })
  }

  /** Watch from the beginning: a new snapshot. */
  watchAnew(): void {
    const connection = this.nextWatching ?? this.newWatching()
    this.nextWatching = undefined
    this.watching?.close()
    this.watching = connection
    connection
      .stream('Watch', {}, reply => {
        if (this.watching === connection) this.events.onWatch(reply)
      })
      .catch(() => {
        if (this.watching === connection) this.lost()
      })
  }

  private newWatching(): Connection {
    const connection: Connection = new Connection(this.token!, {
      onClose: () => {
        if (this.watching === connection) this.lost()
      },
    })
    return connection
  }

  private connect(): void {
    clearTimeout(this.timer)
    this.closeAll()
    const connection: Connection = new Connection(this.token!, {
      onOpen: () => {
        this.isKnown = true
        keepToken(this.token!)
        this.become({ kind: 'live' })
        this.events.onLive()
      },
      onClose: wasOpen => {
        if (this.calls !== connection) return
        if (wasOpen) this.lost()
        else void this.askWhy()
      },
    })
    this.calls = connection
    this.nextWatching = this.newWatching()
  }

  /** A browser does not say why a WebSocket was not opened; its address, asked without an upgrade, does. */
  private async askWhy(): Promise<void> {
    const asking = this.calls
    let status = 0
    let reason = ''
    try {
      const headers = { authorization: `Proof ${await prove(this.token!, 'asking')}` }
      const answer = await fetch('/socket', { headers, cache: 'no-store', signal: patience() })
      status = answer.status
      reason = await answer.text()
    } catch (error) {
      // Else nobody answers.
      if (error instanceof NotTheBroker) status = 401
    }
    if (this.calls !== asking) return
    if (status !== 401) this.lost(reason.startsWith('too many viewers') ? 'full' : undefined)
    else if (this.isKnown) this.lost('stranger')
    else {
      forgetToken()
      this.become({ kind: 'refused', why: 'wrong-token' })
    }
  }

  private lost(but?: 'full' | 'stranger'): void {
    this.closeAll()
    if (!this.leaving) forgetToken()
    const { state } = this
    const since = state.kind === 'away' ? state.since : Date.now()
    const attempts = state.kind === 'away' ? state.attempts + 1 : 0
    // Not all pages at the same instant.
    const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** attempts) * (0.75 + Math.random() / 2)
    this.become({ kind: 'away', since, attempts, ...(but && { but }) })
    this.timer = setTimeout(() => this.connect(), pause)
  }

  private closeAll(): void {
    const open = [this.calls, this.watching, this.nextWatching]
    this.calls = undefined
    this.watching = undefined
    this.nextWatching = undefined
    for (const connection of open) connection?.close()
  }

  private become(state: LinkState): void {
    this.state = state
    this.signal.changed()
  }
}
