import { native } from '../../../native'

/**
 * Sends a message to the service manager, with copies of descriptors. It never waits: false when the manager's queue is full.
 */
export type Notify = (state: string, fds?: readonly number[]) => boolean

/**
 * The service manager at the address of $NOTIFY_SOCKET, by the protocol of sd_notify(3). This does not use libsystemd: its call
 * waits for as long as the manager does not read.
 * @throws Error if the address is not a Unix socket's
 */
export function notifyAt(address: string): Notify {
  if (!/^[/@]/.test(address)) throw new Error(`$NOTIFY_SOCKET is '${address}', which is no Unix socket`)
  const path = address.replace(/^@/, '\0')
  return (state, fds = []) => native.sendDatagram(path, state, fds)
}
