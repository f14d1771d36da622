import { Broker } from './broker'
import { BrokerError, invalidArgument } from './errors'
import type { ReconnectOptions } from './link'
import { chooseSocket, type SocketChoice } from './socket-path'

export interface ConnectOptions {
  /**
   * Path of the broker's socket. Default: $MEMBROKER_SOCKET; or, not as root, the socket of a broker that this user
   * runs ($XDG_RUNTIME_DIR/membroker/broker.sock), where it exists; or the host's, {@link defaultSocket}.
   */
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
export async function connect(options: ConnectOptions = {}): Promise<Broker> {
  const { socket, reconnect = {}, signal } = options
  for (const [option, value] of Object.entries(reconnect)) {
    if (value !== undefined && !(Number.isFinite(value) && value >= 0))
      throw invalidArgument(`reconnect.${option}`, 'must be a number of milliseconds')
  }
  if (socket !== undefined) return Broker.open(socket, reconnect, signal)
  const choice = chooseSocket()
  try {
    return await Broker.open(choice.path, reconnect, signal)
  } catch (error) {
    throw explained(error, choice)
  }
}

/** A caller that named no socket can't know which one the library used, or where else it looked. */
function explained(error: unknown, { why, tried }: SocketChoice): unknown {
  if (!(error instanceof BrokerError) || error.code !== 'BrokerUnreachable') return error
  return new BrokerError(error.code, `${error.message}; this socket is ${why}`, {
    parameters: { ...error.parameters, tried },
    cause: error.cause,
  })
}
