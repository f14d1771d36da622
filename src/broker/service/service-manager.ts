import { boundedText } from '../bounded-text'
import type { Logger } from '../log/log'
import { FdStore } from './fd-store'
import { fdStoreProcess } from './fd-store-process'
import type { Inherited } from './inherited'
import { type Notify, notifyAt } from './paced-queue'

/** While the broker recovers, it asks so often for so much more time. A table may take a while in one piece. */
const extensionMs = 120_000
const extendEveryMs = 10_000
/** Time between two attempts while the manager's queue is full. */
const retryMs = 100

/** Bytes of a sentence for `systemctl status`. */
const statusBytesMax = 1024

/** The service manager's orders in the environment. The broker removes them, as they are for no child. */
interface Orders {
  socket: string | undefined
  /** Undefined: no watchdog. */
  watchdogMs: number | undefined
  /** 0: there is no store. */
  fdStoreSize: number
}

/**
 * The service manager (systemd) that started this broker, by sd_notify(3). Without one, all this does nothing. The broker logs
 * a message that it can't send, and does nothing else about it.
 */
export class ServiceManager {
  /** The store in which memfds survive the broker. undefined: there is none. */
  readonly fdStore: FdStore | undefined
  private notify: Notify | undefined
  private extending: NodeJS.Timeout | undefined
  /** Messages for which the manager's queue had no room: the newest of each kind, by its first word. */
  private readonly unsent = new Map<string, string>()
  private retry: NodeJS.Timeout | undefined
  private isReady = false
  private readonly watchdogMs: number | undefined

  constructor(
    private readonly log: Logger,
    readonly inherited: Inherited,
    environment: NodeJS.ProcessEnv = process.env,
  ) {
    for (const complaint of inherited.complaints) log.warn(complaint)
    const orders = takeOrders(environment)
    this.watchdogMs = orders.watchdogMs
    if (orders.socket !== undefined) this.notify = this.open(orders.socket)
    // Passed memfds come from a store, whatever the environment says. Without a way to reach the manager, the
    // store counts as full.
    const { memfds, strays } = inherited
    const passed = [...memfds.values()].reduce((sum, fds) => sum + fds.length, strays.length)
    const size = this.notify ? Math.max(orders.fdStoreSize, passed) : 0
    if (size > 0 || memfds.size > 0)
      this.fdStore = new FdStore({
        notify: (state, fds) => this.notify?.(state, fds) ?? true,
        size,
        storePid: orders.socket === undefined ? process.ppid : fdStoreProcess(orders.socket),
        inherited,
        onLost: (name, { message }) =>
          log.warn({ name, reason: message }, 'the fd store keeps memfds that the broker does not use'),
        onUnread: () => log.warn('the start waits for the service manager, which does not read its messages'),
      })
  }

  private open(socket: string): Notify | undefined {
    try {
      return notifyAt(socket)
    } catch (error) {
      this.log.error(
        { reason: (error as Error).message },
        'the broker can not reach the service manager, so give the unit Type=exec and no WatchdogSec=',
      )
      return undefined
    }
  }

  /** Sends a sentence for `systemctl status`. */
  status(text: string): void {
    this.send(`STATUS=${line(text)}`)
  }

  /** Asks the manager for more time as long as recovery goes on. Ends with ready(). */
  recovering(): void {
    if (!this.notify || this.extending) return
    const extend = () => this.send(`EXTEND_TIMEOUT_USEC=${extensionMs * 1000}`)
    extend()
    this.extending = setInterval(extend, extendEveryMs)
  }

  /** The broker serves clients. From now on the event loop feeds the watchdog, so the manager notices a loop that hangs. */
  ready(status: string): void {
    clearInterval(this.extending)
    this.isReady = true
    this.send(`READY=1\nSTATUS=${line(status)}`)
    if (this.watchdogMs === undefined || !this.notify) return
    const feed = () => this.send('WATCHDOG=1')
    feed()
    setInterval(feed, Math.max(1, this.watchdogMs / 3)).unref()
  }

  /**
   * The broker is reading its configuration again; reloaded() ends it. It reports neither before ready(): the manager would
   * take either for ready.
   */
  reloading(): void {
    if (this.isReady) this.send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`)
  }

  reloaded(status: string): void {
    if (this.isReady) this.send(`READY=1\nSTATUS=${line(status)}`)
  }

  stopping(): void {
    this.send('STOPPING=1')
  }

  /** Never waits: if the manager's queue is full, it sends the message later. */
  private send(state: string): void {
    const kind = state.slice(0, state.indexOf('='))
    this.unsent.delete(kind)
    this.unsent.set(kind, state)
    this.flush()
  }

  private flush(): void {
    clearTimeout(this.retry)
    for (const [kind, state] of this.unsent) {
      try {
        if (this.notify?.(state) === false) {
          this.retry = setTimeout(() => this.flush(), retryMs)
          return
        }
      } catch (error) {
        this.log.warn(
          { state, reason: (error as Error).message },
          'the broker could not reach the service manager',
        )
      }
      this.unsent.delete(kind)
    }
  }
}

/** A message to the manager has lines of KEY=VALUE. A text with several lines would say more than it should. */
function line(text: string): string {
  return boundedText(text.replace(/[\r\n]+/g, ' '), statusBytesMax)
}

function takeOrders(environment: NodeJS.ProcessEnv): Orders {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, FDSTORE } = environment
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID', 'FDSTORE']) delete environment[name]
  const watchdogIsOurs = WATCHDOG_PID === undefined || WATCHDOG_PID === String(process.pid)
  const watchdogUs = Number(WATCHDOG_USEC)
  const fdStoreSize = Number(FDSTORE)
  return {
    socket: NOTIFY_SOCKET || undefined,
    watchdogMs: watchdogIsOurs && watchdogUs > 0 ? watchdogUs / 1000 : undefined,
    fdStoreSize: Number.isInteger(fdStoreSize) && fdStoreSize > 0 ? fdStoreSize : 0,
  }
}
