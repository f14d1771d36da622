import { CallBuffer } from './call-buffer'
import type { Channel, OpenChannel } from './channel'
import { fdsPerMessageMax, type ResponderLimits, replyBytesMax } from './limits'
import { encodeMessage, hasUnknownMember, ProtocolViolation, parseMessage } from './message'

/** A reply beyond the protocol's limits. Nothing of it was sent, and the call can still be answered. */
export class ReplyTooLarge extends RangeError {
  override readonly name = 'ReplyTooLarge'
}

/** A call that waits for its answer: any number of replyMore, then exactly one of reply and fail. */
export interface Call {
  /** Fully qualified, as the peer sent it: not yet known to exist. */
  readonly method: string
  /** An object; empty when the call had none. */
  readonly parameters: unknown
  readonly more: boolean
  readonly oneway: boolean
  /** The connection is gone: replies are dropped and their descriptors closed. */
  readonly ended: boolean
  /**
   * The last reply. Adopts fds, also when it throws: ReplyTooLarge for one over replyBytesMax or fdsPerMessageMax, before
   * anything is sent; Error after the last reply.
   */
  reply(parameters: object, fds?: readonly number[]): void
  /**
   * One of several replies. Throws like reply, and when the call did not ask for more. False: the peer is slow (wait for
   * onDrain), or gone.
   */
  replyMore(parameters: object, fds?: readonly number[]): boolean
  /** The last reply: an error by its qualified name. */
  fail(error: string, parameters?: object): void
  /** Calls back when the connection ends before the last reply; at once when it has ended. */
  onEnd(callback: () => void): void
  /** Calls back each time the peer has read all that was queued, until the last reply. */
  onDrain(callback: () => void): void
}

/** A connection whose calls have turns. */
export interface TurnTaker {
  /** Carries out one call. True: it could carry out another one now. */
  takeTurn(): boolean
}

/** Decides when a connection carries out its next call. */
export interface Turns {
  /** The connection has a call to carry out: call its takeTurn(), at once or later. */
  ready(connection: TurnTaker): void
}

interface ResponderOptions {
  readonly closeFd: (fd: number) => void
  readonly limits: ResponderLimits
  readonly onCall: (call: Call) => void
  readonly turns: Turns
  /** Reports how many bytes of waiting calls are kept, whenever that changes. False: too many to read more. */
  readonly onHeld: (bytes: number) => boolean
  /** Once, also after close(); ProtocolViolation when the peer's fault ended it, undefined when it or we closed in order. */
  readonly onClose: (error: Error | undefined) => void
}

interface Request {
  readonly method: string
  readonly parameters: object
  readonly more: boolean
  readonly oneway: boolean
}

/** finishing: the peer has sent all its calls, and gets its answers. ended: nothing is sent or received any more. */
type ConnectionState = 'open' | 'finishing' | 'ended'

/** idle: the next call may have its turn. dispatching: inside onCall. answering: onCall has returned, the last reply is to come. */
type TurnState = 'idle' | 'dispatching' | 'answering'

/** paused: the channel reads nothing until calls are carried out or the peer reads replies. */
type InputState = 'reading' | 'paused'

/** The last answer of onHeld. */
type HoldState = 'granted' | 'refused'

/**
 * The answering side of one connection. It answers calls strictly in order: it parses a call and hands it to onCall only after
 * the last reply to the call before.
 */
export class Responder implements TurnTaker {
  readonly channel: Channel
  private readonly options: ResponderOptions
  private readonly calls: CallBuffer
  private connection: ConnectionState = 'open'
  private turn: TurnState = 'idle'
  private input: InputState = 'reading'
  private hold: HoldState = 'granted'
  private heldBytes = 0
  private call: OpenCall | undefined

  constructor(open: OpenChannel, options: ResponderOptions) {
    this.options = options
    this.calls = new CallBuffer(options.limits.messageBytesMax)
    this.channel = open({
      onData: (bytes, fds) => this.receive(bytes, fds),
      onEnd: error => this.end(error),
      onFinish: () => this.finish(),
      onDrain: () => this.drained(),
    })
  }

  /** Ends the connection; calls still open end with it. Idempotent. */
  close(): void {
    this.end(undefined)
  }

  takeTurn(): boolean {
    if (!this.mayDispatch()) return false
    try {
      const message = this.calls.take()
      if (message !== undefined) this.dispatch(readRequest(parseMessage(message)))
    } catch (error) {
      this.end(error instanceof Error ? error : new Error('a handler threw no Error', { cause: error }))
      // A handler that throws shows a broken invariant of ours, not a fault of the peer.
      if (!(error instanceof ProtocolViolation)) throw error
    }
    this.balance()
    return this.mayDispatch()
  }

  private receive(bytes: Buffer, fds: number[]): void {
    if (this.connection !== 'open') return
    // Closed at once, not when the message is whole: messages that never end would use up our descriptors.
    if (fds.length > 0) {
      for (const fd of fds) this.options.closeFd(fd)
      this.end(new ProtocolViolation('descriptors with a call'))
      return
    }
    this.calls.push(bytes)
    this.proceed()
  }

  /** Called after each change that a waiting call may have waited for. */
  private proceed(): void {
    if (this.mayDispatch()) this.options.turns.ready(this)
    this.balance()
  }

  private mayDispatch(): boolean {
    return (
      this.turn === 'idle' && this.connection !== 'ended' && this.calls.hasMessage && !this.outputIsFull()
    )
  }

  /** The peer does not read its replies. */
  private outputIsFull(): boolean {
    const { channel } = this
    const { outputBytesMax, outputFdsMax } = this.options.limits
    const bytes = channel.queuedBytes
    return bytes > 0 && (bytes > outputBytesMax || channel.queuedFds > outputFdsMax)
  }

  private dispatch(request: Request): void {
    this.turn = 'dispatching'
    const call = new OpenCall(request, this.channel, this.options, this.answered)
    this.call = call
    try {
      this.options.onCall(call)
    } finally {
      this.turn = this.call ? 'answering' : 'idle'
    }
  }

  // During onCall, takeTurn's caller goes on with the next call: a loop, so that no row of calls overflows the stack.
  private readonly answered = (): void => {
    this.call = undefined
    if (this.turn === 'dispatching') return
    this.turn = 'idle'
    this.proceed()
  }

  private drained(): void {
    this.call?.drained()
    this.proceed()
  }

  private balance(): void {
    if (this.connection === 'ended') return
    this.reportHeld()
    const { hasMessage } = this.calls
    if (this.connection === 'finishing') {
      if (!hasMessage && this.call === undefined && this.channel.queuedBytes === 0) this.end(undefined)
    } else if (this.hold === 'refused' && !hasMessage)
      this.end(new Error('too much is kept of calls that its uid has not finished'))
    else this.setInput(this.mustPause() ? 'paused' : 'reading')
  }

  private reportHeld(): void {
    const { heldBytes } = this.calls
    if (heldBytes === this.heldBytes && this.hold === 'granted') return
    this.heldBytes = heldBytes
    this.hold = this.options.onHeld(heldBytes) ? 'granted' : 'refused'
  }

  private mustPause(): boolean {
    const { heldBytes, hasMessage } = this.calls
    const enough = this.hold === 'refused' || heldBytes >= this.options.limits.callBytesInFlightMax
    return (hasMessage && enough) || this.outputIsFull()
  }

  private setInput(input: InputState): void {
    if (this.input === input) return
    this.input = input
    if (input === 'paused') this.channel.pause()
    else this.channel.resume()
  }

  private finish(): void {
    if (this.connection !== 'open') return
    this.connection = 'finishing'
    this.balance()
  }

  private end(error: Error | undefined): void {
    if (this.connection === 'ended') return
    this.connection = 'ended'
    this.calls.clear()
    if (this.heldBytes > 0) this.options.onHeld(0)
    this.channel.close()
    this.call?.end()
    this.options.onClose(error)
  }
}

/** open: replies are sent. answered: the last one was. ended: the connection is gone, replies are dropped. */
type CallState = 'open' | 'answered' | 'ended'

class OpenCall implements Call {
  readonly method: string
  readonly parameters: object
  readonly more: boolean
  readonly oneway: boolean
  private readonly channel: Channel
  private readonly options: ResponderOptions
  private readonly onAnswered: () => void
  private state: CallState = 'open'
  private endCallbacks: Array<() => void> = []
  private drainCallbacks: Array<() => void> = []

  constructor(request: Request, channel: Channel, options: ResponderOptions, onAnswered: () => void) {
    this.method = request.method
    this.parameters = request.parameters
    this.more = request.more
    this.oneway = request.oneway
    this.channel = channel
    this.options = options
    this.onAnswered = onAnswered
  }

  get ended(): boolean {
    return this.state === 'ended'
  }

  reply(parameters: object, fds: readonly number[] = []): void {
    this.send({ parameters }, fds)
    this.finish()
  }

  replyMore(parameters: object, fds: readonly number[] = []): boolean {
    if (!this.more) {
      this.closeAll(fds)
      throw new Error(`several replies to ${this.method}, which was called without more`)
    }
    this.send({ parameters, continues: true }, fds)
    return this.state === 'open' && this.channel.queuedBytes <= this.options.limits.outputBytesMax
  }

  fail(error: string, parameters: object = {}): void {
    this.send({ error, parameters }, [])
    this.finish()
  }

  onEnd(callback: () => void): void {
    if (this.state === 'ended') callback()
    else if (this.state === 'open') this.endCallbacks.push(callback)
  }

  onDrain(callback: () => void): void {
    if (this.state === 'open') this.drainCallbacks.push(callback)
  }

  drained(): void {
    for (const callback of [...this.drainCallbacks]) callback()
  }

  end(): void {
    this.state = 'ended'
    const callbacks = this.endCallbacks
    this.forget()
    for (const callback of callbacks) callback()
  }

  private send(message: object, fds: readonly number[]): void {
    if (this.state !== 'open' || this.oneway) {
      this.closeAll(fds)
      if (this.state === 'answered') throw new Error(`a reply to ${this.method} after its last reply`)
      return
    }
    let bytes: Buffer
    try {
      bytes = encodeMessage(message)
      if (bytes.length - 1 > replyBytesMax)
        throw new ReplyTooLarge(`reply of ${bytes.length - 1} bytes, at most ${replyBytesMax}`)
      if (fds.length > fdsPerMessageMax)
        throw new ReplyTooLarge(`${fds.length} descriptors, at most ${fdsPerMessageMax}`)
    } catch (error) {
      this.closeAll(fds)
      throw error
    }
    this.channel.send(bytes, fds)
  }

  private finish(): void {
    if (this.state !== 'open') return
    this.state = 'answered'
    this.forget()
    this.onAnswered()
  }

  private forget(): void {
    this.endCallbacks = []
    this.drainCallbacks = []
  }

  private closeAll(fds: readonly number[]): void {
    for (const fd of fds) this.options.closeFd(fd)
  }
}

function readRequest(value: Record<string, unknown>): Request {
  if (hasUnknownMember(value, requestMembers)) throw new ProtocolViolation('a call with an unknown member')
  const { method } = value
  const parameters = value.parameters ?? {}
  if (typeof method !== 'string') throw new ProtocolViolation('a call without a method')
  if (typeof parameters !== 'object' || Array.isArray(parameters))
    throw new ProtocolViolation('a call whose parameters are not an object')
  const more = readFlag(value, 'more')
  const oneway = readFlag(value, 'oneway')
  if (more && oneway) throw new ProtocolViolation('a call with both more and oneway')
  if (readFlag(value, 'upgrade')) throw new ProtocolViolation('a call with upgrade, which is not offered')
  return { method, parameters, more, oneway }
}

const requestMembers = new Set(['method', 'parameters', 'more', 'oneway', 'upgrade'])

function readFlag(value: Record<string, unknown>, flag: 'more' | 'oneway' | 'upgrade'): boolean {
  const set = value[flag] ?? false
  if (typeof set !== 'boolean') throw new ProtocolViolation(`a call whose ${flag} is not a boolean`)
  return set
}
