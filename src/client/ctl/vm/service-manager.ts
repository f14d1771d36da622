import { native } from '../../../../native'

/** Reports to systemd, if it started this process with Type=notify. */
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
    ready: status => send(`READY=1\nSTATUS=${status}`),
    status: text => send(`STATUS=${text}`),
    stopping: () => send('STOPPING=1'),
    extend: ms => send(`EXTEND_TIMEOUT_USEC=${Math.ceil(ms * 1000)}`),
  }
}
