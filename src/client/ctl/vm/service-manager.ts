import { native } from '../../../../native'
import { printable } from '../table'

const statusCharactersMax = 1000

/**
 * Reports to systemd, if it started this process with Type=notify. A message has lines of KEY=VALUE; a status may hold words of
 * QEMU's, which must not be more lines.
 */
export interface ServiceManager {
  ready(status: string): void
  status(text: string): void
  stopping(): void
  /** From now on, a start or a stop takes so long at most. */
  extend(ms: number): void
}

export function serviceManager(address = process.env.NOTIFY_SOCKET): ServiceManager {
  const send = (message: string) => {
    if (!address) return
    try {
      native.sendDatagram(address.replace(/^@/, '\0'), message, [])
    } catch {
      // If the manager does not take the message, the guest goes on; the manager has timeouts of its own.
    }
  }
  return {
    ready: status => send(`READY=1\nSTATUS=${line(status)}`),
    status: text => send(`STATUS=${line(text)}`),
    stopping: () => send('STOPPING=1'),
    extend: ms => send(`EXTEND_TIMEOUT_USEC=${Math.ceil(ms * 1000)}`),
  }
}

/** Of a reason, `vm list` shows the first line too; systemd drops a message of more than 4096 bytes. */
function line(text: string): string {
  return printable(text.split('\n', 1)[0]!).slice(0, statusCharactersMax)
}
