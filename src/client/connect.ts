import { Broker } from './broker'
import { invalidArgument } from './errors'
import type { ReconnectOptions } from './link'

/** Where the broker listens, unless MEMBROKER_SOCKET or an option says otherwise. */
export const defaultSocket = '/run/membroker/broker.sock'

export interface ConnectOptions {
  /** Path of the broker's socket. Default: $MEMBROKER_SOCKET, or {@link defaultSocket} */
  socket?: string | undefined
  /** How to come back after the broker restarted. */
  reconnect?: ReconnectOptions | undefined
  /** Ends the attempt to connect; not the connection. */
  signal?: AbortSignal | undefined
}

/**
 * Connect to the broker, and see that it answers.
 * @throws BrokerError BrokerUnreachable, ProtocolViolation, Aborted, InvalidArgument
 */
export function connect(options: ConnectOptions = {}): Promise<Broker> {
  const { socket = process.env.MEMBROKER_SOCKET || defaultSocket, reconnect = {}, signal } = options
  for (const [option, value] of Object.entries(reconnect)) {
    if (value !== undefined && !(Number.isFinite(value) && value >= 0)) {
      return Promise.reject(invalidArgument(`reconnect.${option}`, 'must be a number of milliseconds'))
    }
  }
  return Broker.open(socket, reconnect, signal)
}
