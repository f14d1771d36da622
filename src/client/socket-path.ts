import { existsSync } from 'node:fs'
import path from 'node:path'

/** Where the host's broker listens. */
export const defaultSocket = '/run/membroker/broker.sock'

/** Where to connect, when the caller does not say so. */
export interface SocketChoice {
  readonly path: string
  /** How it was chosen, as a clause for people. */
  readonly why: string
  /** Every place that was considered, in order; the last is path. */
  readonly tried: readonly string[]
}

/**
 * $MEMBROKER_SOCKET; then, not as root, the socket of this user's own broker, where there is one; then the host's.
 * A user's own broker comes first also when nobody listens any more: going on with another broker's memory because
 * one's own has ended would be a guess.
 */
export function chooseSocket(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  uid = process.getuid!(),
  exists: (path: string) => boolean = existsSync,
): SocketChoice {
  const named = environment.MEMBROKER_SOCKET
  if (named) return { path: named, why: 'as MEMBROKER_SOCKET says', tried: [named] }
  if (uid === 0) return { path: defaultSocket, why: 'the default', tried: [defaultSocket] }
  const own = path.join(runtimeDirectory(environment, uid), 'membroker', 'broker.sock')
  if (exists(own)) return { path: own, why: "this user's own broker's", tried: [own] }
  return {
    path: defaultSocket,
    why: `the default, as this user has no broker at ${own}`,
    tried: [own, defaultSocket],
  }
}

/** A relative or empty XDG_RUNTIME_DIR counts as none, as its specification demands. */
function runtimeDirectory({ XDG_RUNTIME_DIR }: Readonly<Record<string, string | undefined>>, uid: number) {
  return XDG_RUNTIME_DIR && path.isAbsolute(XDG_RUNTIME_DIR) ? XDG_RUNTIME_DIR : `/run/user/${uid}`
}
