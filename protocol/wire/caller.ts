import type { Channel, OpenChannel } from './channel'
import { fdsPerMessageMax, messageBytesMax, replyBytesMax, streamRepliesMax } from './limits'
import { encodeMessage, hasUnknownMember, type Message, MessageReader, ProtocolViolation } from './message'
import { ReplyStream } from './reply-stream'

/** A reply's parameters, and the descriptors sent with it; whoever receives it owns them. */
interface Reply {
  parameters: Record<string, unknown>
  fds: number[]
}

/** An error reply: the peer is well, and refused. */
export class VarlinkError extends Error {
  override readonly name = 'VarlinkError'
  /** The qualified name, as io.membroker.Broker.NotFound. */
  readonly error: string
  readonly parameters: Record<string, unknown>

  constructor(error: string, parameters: Record<string, unknown>) {
    super(error)
    this.error = error
    this.parameters = parameters
  }
}

/** The connection ended before the (last) reply: whether the call took effect is unknown. `cause` says why it ended. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'

  constructor(cause: Error | undefined) {
    super(cause === undefined ? 'connection closed' : `connection lost: ${cause.message}`, { cause })
  }
}

interface CallerOptions {
  readonly closeFd: (fd: number) => void
  /** Once, also after close(); ProtocolViolation when the peer's fault ended it, undefined when it or we closed in order. */
  readonly onClose: (error: Error | undefined) => void
}

/** The receiver of the replies to one call. */
interface Waiter {
  readonly more: boolean
  readonly fdsMax: number
  /** Adopts fds. */
  take(reply: Reply, last: boolean): void
  fail(error: Error): void
}

/** The calling side of one connection. Calls may be made before earlier ones are answered; replies come in their order. */
export class Caller {
  private readonly options: CallerOptions
  private readonly reader: MessageReader
  private readonly channel: Channel
  private readonly waiters: Waiter[] = []
  private lost: ConnectionLost | undefined
  private paused = false

  constructor(open: OpenChannel, options: CallerOptions) {
    this.options = options
    this.reader = new MessageReader({
      bytesMax: replyBytesMax,
      fdsMax: fdsPerMessageMax,
      closeFd: options.closeFd,
    })
    this.channel = open({
      onData: (bytes, fds) => this.receive(bytes, fds),
      onEnd: error => this.end(error),
      onDrain: () => {},
    })
  }

  /**
   * One call, one reply. Rejects with VarlinkError for an error reply, ConnectionLost, or RangeError for a call over
   * messageBytesMax. More than fdsMax descriptors with the reply end the connection.
   */
  call(method: string, parameters: object, fdsMax = fdsPerMessageMax): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.send({ method, parameters }, { more: false, fdsMax, take: resolve, fail: reject })
    })
  }

  /**
   * One call, any number of replies, each with at most fdsMax descriptors. The call is sent at once; its errors come
   * from next(). Ending it before the last reply (return(), break) closes the connection, as Varlink has no cancel;
   * descriptors of replies not taken are closed. A slow reader stops the whole connection from being read.
   */
  stream(method: string, parameters: object, fdsMax = fdsPerMessageMax): AsyncIterableIterator<Reply> {
    const stream = new ReplyStream<Reply>({
      onBacklog: length => this.balance(length),
      onAbandon: () => this.close(),
      discard: reply => this.closeAll(reply.fds),
    })
    this.send(
      { method, parameters, more: true },
      {
        more: true,
        fdsMax,
        take: (reply, last) => stream.put(reply, last),
        fail: error => stream.fail(error),
      },
    )
    return stream
  }

  /** No call can be made any more. */
  get ended(): boolean {
    return this.lost !== undefined
  }

  /** Rejects all waiting calls with ConnectionLost. Idempotent. */
  close(): void {
    this.end(undefined)
  }

  private send(message: object, waiter: Waiter): void {
    if (this.lost !== undefined) {
      waiter.fail(this.lost)
      return
    }
    const bytes = encodeMessage(message)
    if (bytes.length - 1 > messageBytesMax) {
      waiter.fail(new RangeError(`call of ${bytes.length - 1} bytes, at most ${messageBytesMax}`))
      return
    }
    this.waiters.push(waiter)
    this.channel.send(bytes, [])
  }

  private receive(bytes: Buffer, fds: number[]): void {
    try {
      this.reader.push(bytes, fds, this.accept)
    } catch (error) {
      this.end(error instanceof Error ? error : new Error('a receiver threw no Error', { cause: error }))
      // An error that a receiver of replies throws is a broken invariant of ours, not the peer's fault.
      if (!(error instanceof ProtocolViolation)) throw error
    }
  }

  private readonly accept = (message: Message): void => {
    try {
      this.deliver(message)
    } catch (error) {
      this.closeAll(message.fds)
      throw error
    }
  }

  private deliver({ value, fds }: Message): void {
    const waiter = this.waiters[0]
    if (waiter === undefined) throw new ProtocolViolation('a reply to no call')
    const { error, parameters, continues } = readReply(value)
    if (fds.length > (error === undefined ? waiter.fdsMax : 0)) {
      throw new ProtocolViolation('a reply with descriptors that were not asked for')
    }
    if (continues && !waiter.more) throw new ProtocolViolation('several replies to a call without more')
    if (!continues) this.waiters.shift()
    if (error === undefined) waiter.take({ parameters, fds }, !continues)
    else waiter.fail(new VarlinkError(error, parameters))
  }

  // Replies come in the order of the calls, so only the stream at the head can fill.
  private balance(length: number): void {
    if (this.lost !== undefined) return
    const paused = length >= streamRepliesMax
    if (paused === this.paused) return
    this.paused = paused
    if (paused) this.channel.pause()
    else this.channel.resume()
  }

  private end(error: Error | undefined): void {
    if (this.lost !== undefined) return
    this.lost = new ConnectionLost(error)
    this.reader.dispose()
    this.channel.close()
    for (const waiter of this.waiters.splice(0)) waiter.fail(this.lost)
    this.options.onClose(error)
  }

  private closeAll(fds: readonly number[]): void {
    for (const fd of fds) this.options.closeFd(fd)
  }
}

function readReply(value: Record<string, unknown>) {
  if (hasUnknownMember(value, replyMembers)) throw new ProtocolViolation('a reply with an unknown member')
  const error = value.error ?? undefined
  const parameters = value.parameters ?? {}
  const continues = value.continues ?? false
  if (error !== undefined && typeof error !== 'string')
    throw new ProtocolViolation('a reply whose error is not a name')
  if (typeof parameters !== 'object' || Array.isArray(parameters))
    throw new ProtocolViolation('a reply whose parameters are not an object')
  if (typeof continues !== 'boolean') throw new ProtocolViolation('a reply whose continues is not a boolean')
  if (error !== undefined && continues) throw new ProtocolViolation('an error reply that continues')
  return { error, parameters: parameters as Record<string, unknown>, continues }
}

const replyMembers = new Set(['error', 'parameters', 'continues'])
