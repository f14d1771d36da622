import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { methodTraits, type Repeat } from '../../protocol/methods'
import { ConnectionLost } from '../../protocol/wire/caller'
import { ProtocolViolation } from '../../protocol/wire/message'
import { abortable, throwIfAborted } from './abort'
import { type Backoff, backoffMs } from './backoff'
import { closeAll } from './descriptor'
import { aborted, BrokerError, closedError, toBrokerError, violation } from './errors'
import { IdleConnection } from './idle-connection'
import { checkReply, type In, type Method, type Out, type Reply } from './reply'
import { type Connection, dial, type Place } from './transport'

const interfaceName = 'io.membroker.Broker'

export interface ReconnectOptions {
  /** Delay before the first attempt, in milliseconds; doubles with each, with jitter. Default: 10 */
  minDelayMs?: number | undefined
  /** Longest delay between attempts, in milliseconds. Default: 1000 */
  maxDelayMs?: number | undefined
  /** How long a call waits for the broker to come back, in milliseconds. Default: 30000 */
  timeoutMs?: number | undefined
}

type Reconnect = Backoff & { readonly timeoutMs: number }

interface LinkEvents {
  onDisconnected(error: Error | undefined): void
  onReconnected(status: Out<'GetStatus'>): void
}

type State =
  | { name: 'up'; connection: Connection }
  | { name: 'down'; back: Promise<void> }
  | { name: 'closed' }

/** The way to the broker: one connection for calls that are answered at once, kept up; others for those that are not. */
export class Link {
  private readonly place: Place
  private readonly reconnect: Reconnect
  private readonly events: LinkEvents
  private readonly closer = new AbortController()
  private readonly others = new Set<Connection>()
  private readonly idle = new IdleConnection()
  private state: State

  private constructor(place: Place, reconnect: Reconnect, events: LinkEvents, first: Connection) {
    this.place = place
    this.reconnect = reconnect
    this.events = events
    this.state = { name: 'up', connection: first }
    // As many calls as wait for the broker; Node warns at eleven.
    setMaxListeners(0, this.closer.signal)
    this.follow(first)
  }

  /** @throws BrokerError BrokerUnreachable, ProtocolViolation, Aborted */
  static async open(
    place: Place,
    options: ReconnectOptions,
    events: LinkEvents,
    signal: AbortSignal | undefined,
  ): Promise<Link> {
    const { minDelayMs = 10, maxDelayMs = 1_000, timeoutMs = 30_000 } = options
    const reconnect = { minDelayMs, maxDelayMs, timeoutMs }
    const { connection } = await greet(place, reconnect.timeoutMs, signal)
    return new Link(place, reconnect, events, connection)
  }

  get socketPath(): string {
    return this.place.socketPath
  }

  get closed(): boolean {
    return this.state.name === 'closed'
  }

  /**
   * A call that the broker answers at once, on the connection that all such calls share. Aborting it leaves the others
   * be; its late reply goes to onLate, and its descriptors are closed.
   */
  async call<M extends Method>(
    method: M,
    parameters: In<M>,
    signal?: AbortSignal,
    onLate: (out: Out<M>) => void = () => {},
  ): Promise<Reply<M>> {
    return this.persist(method, methodTraits[method].repeat, signal, async giveUpAt => {
      const connection = await this.up(giveUpAt, signal)
      const sent = connection.caller.call(qualified(method), parameters)
      const checked = sent.then(reply => checkReply(method, reply))
      try {
        return await abortable(checked, signal, ({ out, fds }) => {
          closeAll(fds)
          onLate(out)
        })
      } catch (error) {
        if (error instanceof ConnectionLost) this.lost(connection, error)
        throw error
      }
    })
  }

  /**
   * A call that may take long and may be repeated, on a connection that nothing else waits for. Such calls come in a
   * row, and making a connection costs both sides more than the call: it is kept for the next. For calls without a
   * secret, which would open the connection for others. Aborting it closes the connection.
   */
  async settle<M extends Method>(method: M, parameters: In<M>, signal?: AbortSignal): Promise<Out<M>> {
    return this.persist(method, 'settle', signal, async giveUpAt => {
      const connection = this.idle.take() ?? (await this.another(giveUpAt, signal))
      this.others.add(connection)
      let reply: Reply<M> | undefined
      try {
        const sent = connection.caller.call(qualified(method), parameters, 0)
        reply = checkReply(method, await abortable(sent, signal))
        return reply.out
      } finally {
        this.others.delete(connection)
        if (reply && !this.closed) this.idle.keep(connection)
        else connection.caller.close()
      }
    })
  }

  /**
   * The replies of a call that may take long or stream, on a connection of its own: the broker answers the calls of a
   * connection in order, so nothing else may have to wait behind it. The consumer owns each reply's fds. Aborting it
   * closes the connection.
   */
  async *replies<M extends Method>(
    method: M,
    parameters: In<M>,
    signal?: AbortSignal,
    giveUpAt = performance.now() + this.reconnect.timeoutMs,
  ): AsyncGenerator<Reply<M>, void> {
    const connection = await this.another(giveUpAt, signal)
    this.others.add(connection)
    const hangUp = () => connection.caller.close()
    signal?.addEventListener('abort', hangUp, { once: true })
    try {
      throwIfAborted(signal)
      for await (const reply of connection.caller.stream(qualified(method), parameters)) {
        yield checkReply(method, reply)
      }
    } catch (error) {
      if (this.closed) throw closedError()
      if (signal?.aborted) throw aborted(signal)
      throw error
    } finally {
      signal?.removeEventListener('abort', hangUp)
      this.others.delete(connection)
      hangUp()
    }
  }

  /** The last reply of such a call; earlier replies go to onStep. For methods that carry no descriptors. */
  async last<M extends Method>(
    method: M,
    parameters: In<M>,
    signal?: AbortSignal,
    onStep?: (out: Out<M>) => void,
  ): Promise<Out<M>> {
    return this.persist(method, methodTraits[method].repeat, signal, async giveUpAt => {
      let previous: Out<M> | undefined
      for await (const { out } of this.replies(method, parameters, signal, giveUpAt)) {
        if (previous !== undefined) onStep?.(previous)
        previous = out
      }
      if (previous === undefined) throw violation(method, 'it ended without one')
      return previous
    })
  }

  /**
   * All replies of such a call. Where the connection breaks in between, they are those to the repeated call only: what two
   * brokers said does not go together. For calls that change nothing.
   */
  async rows<M extends Method>(method: M, parameters: In<M>, signal?: AbortSignal): Promise<Out<M>[]> {
    return this.persist(method, 'read', signal, async giveUpAt => {
      const rows: Out<M>[] = []
      for await (const { out, fds } of this.replies(method, parameters, signal, giveUpAt)) {
        closeAll(fds)
        rows.push(out)
      }
      if (rows.length === 0) throw violation(method, 'it ended without one')
      return rows
    })
  }

  /**
   * The delay before an attempt; 0 is the first.
   * @throws BrokerError Aborted, Closed
   */
  async pause(attempt: number, signal?: AbortSignal): Promise<void> {
    const either = signal ? AbortSignal.any([signal, this.closer.signal]) : this.closer.signal
    try {
      await sleep(backoffMs(attempt, this.reconnect), undefined, { signal: either })
    } catch {
      throwIfAborted(signal)
      throw closedError()
    }
  }

  /** Idempotent. Calls under way and waiting fail with Closed. */
  close(): void {
    const state = this.state
    if (state.name === 'closed') return
    this.state = { name: 'closed' }
    this.closer.abort()
    for (const { caller } of this.others) caller.close()
    this.idle.drop()
    if (state.name === 'up') state.connection.caller.close()
  }

  /**
   * Runs an attempt, again after a broken connection where that does no harm, until timeoutMs after its start or first break.
   * @throws BrokerError
   */
  async persist<T>(
    method: Method,
    repeat: Repeat,
    signal: AbortSignal | undefined,
    attempt: (giveUpAt: number) => Promise<T>,
  ): Promise<T> {
    let giveUpAt = performance.now() + this.reconnect.timeoutMs
    let broken = false
    for (let tries = 0; ; tries++) {
      throwIfAborted(signal)
      if (tries > 0) await this.pause(tries - 1, signal)
      try {
        return await attempt(giveUpAt)
      } catch (error) {
        if (this.closed) throw closedError()
        if (error instanceof ConnectionLost && !broken) {
          broken = true
          giveUpAt = performance.now() + this.reconnect.timeoutMs
        }
        if (performance.now() >= giveUpAt || !mayRepeat(error, repeat)) throw toBrokerError(error, method)
      }
    }
  }

  /** The connection, waiting for it until giveUpAt where it is down. */
  private async up(giveUpAt: number, signal: AbortSignal | undefined): Promise<Connection> {
    for (;;) {
      throwIfAborted(signal)
      const state = this.state
      if (state.name === 'closed') throw closedError()
      if (state.name === 'up') return state.connection
      const leftMs = giveUpAt - performance.now()
      if (leftMs <= 0) throw this.stillDown()
      const timer = new AbortController()
      const late = sleep(leftMs, undefined, { signal: timer.signal }).catch(() => {})
      await abortable(Promise.race([state.back, late]), signal).finally(() => timer.abort())
    }
  }

  /** A new connection, when the broker can be reached. */
  private async another(giveUpAt: number, signal: AbortSignal | undefined): Promise<Connection> {
    for (let attempt = 0; ; attempt++) {
      await this.up(giveUpAt, signal)
      try {
        return await dial(this.place, signal)
      } catch (error) {
        // The broker may be gone without the shared connection having noticed yet.
        const unreachable = error instanceof BrokerError && error.code === 'BrokerUnreachable'
        if (!unreachable || performance.now() >= giveUpAt) throw error
      }
      await this.pause(attempt, signal)
    }
  }

  private stillDown(): BrokerError {
    const { socketPath } = this.place
    return new BrokerError(
      'BrokerUnreachable',
      `the broker at ${socketPath} went away and did not come back within ${this.reconnect.timeoutMs} ms; ` +
        'nothing was sent',
      { parameters: { socket: socketPath } },
    )
  }

  private follow(connection: Connection): void {
    connection.closed.then(error => this.lost(connection, error))
  }

  /** Both a failed call and the connection itself report the end; whichever is first counts. */
  private lost(connection: Connection, error: Error | undefined): void {
    if (this.state.name !== 'up' || this.state.connection !== connection) return
    connection.caller.close()
    this.state = { name: 'down', back: this.comeBack() }
    this.events.onDisconnected(error)
  }

  private async comeBack(): Promise<void> {
    for (let attempt = 0; !this.closed; attempt++) {
      await this.pause(attempt).catch(() => {})
      if (this.closed) return
      const greeted = await greet(this.place, this.reconnect.timeoutMs, this.closer.signal).catch(
        () => undefined,
      )
      if (!greeted) continue
      if (this.closed) return greeted.connection.caller.close()
      this.state = { name: 'up', connection: greeted.connection }
      this.follow(greeted.connection)
      this.events.onReconnected(greeted.status)
      return
    }
  }
}

/** A connection whose other end has proved to be a broker that answers. */
async function greet(
  place: Place,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<{ connection: Connection; status: Out<'GetStatus'> }> {
  const connection = await dial(place, signal)
  const timeout = AbortSignal.timeout(timeoutMs)
  try {
    const sent = connection.caller.call(qualified('GetStatus'), {})
    const either = signal ? AbortSignal.any([signal, timeout]) : timeout
    const reply = await abortable(sent, either, late => closeAll(late.fds))
    return { connection, status: checkReply('GetStatus', reply).out }
  } catch (error) {
    connection.caller.close()
    if (signal?.aborted) throw aborted(signal)
    const reason = timeout.aborted
      ? `accepted the connection but did not answer within ${timeoutMs} ms`
      : 'closed the connection without an answer: it may be at its limit of clients, shutting down, or no membrokerd'
    const hungUp = error instanceof ConnectionLost && !(error.cause instanceof ProtocolViolation)
    if (!timeout.aborted && !hungUp) throw toBrokerError(error, 'GetStatus')
    const { socketPath } = place
    throw new BrokerError('BrokerUnreachable', `the program at ${socketPath} ${reason}`, {
      parameters: { socket: socketPath },
      cause: error,
    })
  }
}

function mayRepeat(error: unknown, repeat: Repeat): boolean {
  return error instanceof ConnectionLost && !(error.cause instanceof ProtocolViolation) && repeat !== 'never'
}

function qualified(method: Method): string {
  return `${interfaceName}.${method}`
}
