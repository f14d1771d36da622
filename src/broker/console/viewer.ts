import type { BrokerMethodName } from '../../../protocol/generated/broker'
import type { Broker } from '../broker'
import type { ConsoleSettings } from '../config/console-settings'
import { Session } from '../session/session'
import { consoleRefusal } from './permission'

/** One open page: an administrator's session without a process, and with what the configuration permits it. */
export class Viewer extends Session {
  constructor(
    private readonly address: string,
    private readonly settings: ConsoleSettings,
    broker: Broker,
  ) {
    super({ pid: 0, uid: process.getuid!(), gid: process.getgid!(), pidfd: -1 }, broker)
  }

  override get canHold(): boolean {
    return false
  }

  override get command(): string {
    return `console, ${this.address}`
  }

  override refusal(method: BrokerMethodName, parameters: unknown): string | undefined {
    return consoleRefusal(method, parameters, this.settings)
  }
}
