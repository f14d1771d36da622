import type { Accounts } from '../access/accounts'
import type { Settings } from '../config/settings'
import type { KernelLog } from '../contents/kernel-log'
import type { Logger } from '../log/log'
import type { Events } from '../session/events'
import type { Session, SessionHost } from '../session/session'
import type { Turns } from '../session/turns'
import type { Inventory } from '../state/inventory'
import type { Statistics } from '../statistics'
import type { Updates } from '../update/updates'

/** The part of the broker that the console sees: it admits viewers, and has figures. */
export interface ConsoleHost extends SessionHost {
  readonly settings: Pick<Settings, 'admins' | 'clientsMax' | 'socket'>
  readonly log: Logger
  readonly sessions: Set<Session>
  readonly events: Events
  readonly turns: Turns
  readonly statistics: Statistics
  readonly inventory: Inventory
  readonly accounts: Accounts
  readonly kernelLog: KernelLog
  readonly updates: Updates
  /** The reason why the broker refuses every change. undefined: it does not refuse. */
  readonly frozen: string | undefined
}
