import { setTimeout as sleep } from 'node:timers/promises'
import { Socket, SystemError } from '../../native'
import { withoutCode } from '../../protocol/system-reason'
import { Caller } from '../../protocol/wire/caller'
import type { Channel, OpenChannel } from '../../protocol/wire/channel'
import { closeQuietly } from './descriptor'
import { aborted, BrokerError } from './errors'

/** A full listen backlog drains within the time the broker needs for one accept; beyond that it is stuck. */
const backlogRetryMs = 5
const backlogPatienceMs = 5_000

/** One connection to the broker. */
export interface Connection {
  readonly caller: Caller
  /** Settles when the connection is gone; with the failure that ended it, if any. */
  readonly closed: Promise<Error | undefined>
}

/** Where the broker listens, and how a connection to it is made. */
export interface Place {
  readonly socketPath: string
  /** Returns a connected socket. The broker takes the process that connected it for the caller. @throws SystemError */
  readonly connectTo: (socketPath: string) => number | Promise<number>
}

/**
 * Connects to a broker's socket.
 * @throws BrokerError BrokerUnreachable, Aborted
 */
export async function dial(
  { socketPath, connectTo }: Place,
  signal: AbortSignal | undefined,
): Promise<Connection> {
  const giveUpAt = performance.now() + backlogPatienceMs
  for (;;) {
    if (signal?.aborted) throw aborted(signal)
    try {
      return open(await connectTo(socketPath))
    } catch (error) {
      if ((error as SystemError).code !== 'EAGAIN' || performance.now() >= giveUpAt)
        throw unreachable(socketPath, error)
    }
    await sleep(backlogRetryMs * (0.5 + Math.random()))
  }
}

function open(fd: number): Connection {
  let onClosed: (error: Error | undefined) => void = () => {}
  const closed = new Promise<Error | undefined>(resolve => {
    onClosed = resolve
  })
  const caller = new Caller(channelOf(fd), { closeFd: closeQuietly, onClose: onClosed })
  return { caller, closed }
}

/** The addon's socket as the channel that the wire layer speaks over. Adopts fd. */
export function channelOf(fd: number): OpenChannel {
  return (events): Channel => {
    const socket = new Socket(fd, {
      onData: (bytes, fds) => events.onData(bytes, fds),
      onEnd: errno => events.onEnd(errno === 0 ? undefined : new SystemError('recvmsg', errno)),
      onDrain: () => events.onDrain(),
    })
    return {
      send: (bytes, fds) => void socket.send(bytes, fds),
      get queuedBytes() {
        return socket.queuedBytes
      },
      get queuedFds() {
        return socket.queuedFds
      },
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      close: () => socket.close(),
    }
  }
}

const advice: Record<string, string> = {
  ENOENT: 'there is no such socket. Is membrokerd running? Its socket can be named with MEMBROKER_SOCKET',
  ECONNREFUSED:
    'nobody listens at it: membrokerd is not running, or just being restarted, or this is no socket',
  EACCES: "this user may not open it: membrokerd's configuration says which group may",
  EAGAIN: 'its backlog stays full: membrokerd does not accept connections',
  ENAMETOOLONG: 'the path is longer than a Unix socket address can hold (107 bytes)',
}

function unreachable(socketPath: string, error: unknown): BrokerError {
  const code = (error as SystemError).code ?? 'unknown'
  const why = advice[code] ?? withoutCode(error)
  return new BrokerError('BrokerUnreachable', `can't reach the broker at ${socketPath}: ${why} (${code})`, {
    parameters: { socket: socketPath, errno: code },
    cause: error,
  })
}
