import type { BrokerMethodName } from '../../../protocol/generated/broker'
import type { ConsoleSettings } from '../config/console-settings'
import { Session } from '../session/session'
import type { ConsoleHost } from './console-host'
import { consoleRefusal } from './permission'

/**
 * (uid_t)-1, which no process has and nothing can belong to or be shared with. Not the broker's own: an administrator who
 * opens the console is not thereby the owner of what that uid has.
 */
const noUid = 0xffffffff

/** One open page: an administrator's session without a process, and with what the configuration permits it. */
export class Viewer extends Session {
  /** Nobody sees the difference, and each time costs the broker a system call, and the machine another process awake. */
  override readonly gatherEventsMs = 50

  constructor(
    private readonly address: string,
    private readonly settings: ConsoleSettings,
    broker: ConsoleHost,
  ) {
    super({ pid: 0, uid: noUid, gid: noUid, pidfd: -1 }, broker)
  }

  override get isAdmin(): boolean {
    return true
  }

  override get command(): string {
    return `console, ${this.address}`
  }

  override refusal(method: BrokerMethodName, parameters: unknown): string | undefined {
    return consoleRefusal(method, parameters, this.settings)
  }
}
