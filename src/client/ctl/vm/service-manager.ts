import { native } from '../../../../native'

/** Tells systemd, where it started this process with Type=notify, how things stand. */
export interface ServiceManager {
  ready(status: string): void
  status(text: string): void
  stopping(): void
  /** A start or a stop takes this long at most, from now on. */
  extend(ms: number): void
}

export function serviceManager(address = process.env.NOTIFY_SOCKET): ServiceManager {
  const send = (message: string) => {
    if (!address) return
    try {
      native.sendDatagram(address.replace(/^@/, '\0'), message, [])
    } catch {
      // That it can't be told is no reason to end a guest; it has timeouts of its own.
    }
  }
  return {
    ready: status => send(`READY=1\nSTATUS=${status}`),
    status: text => send(`STATUS=${text}`),
    stopping: () => send('STOPPING=1'),
    extend: ms => send(`EXTEND_TIMEOUT_USEC=${Math.ceil(ms * 1000)}`),
  }
}
