import { mkdtempSync, rmSync } from 'node:fs'
import { native } from '../../../native'
import { Broker } from '../../../src/broker/broker'
import { embeddedDefault } from '../../../src/broker/config/config'
import type { Settings } from '../../../src/broker/config/settings'
import { recover } from '../../../src/broker/recover/recover'
import { Session } from '../../../src/broker/session/session'
import type { Range } from '../../../src/broker/state/range'
import { silentLog } from '../../support/silent-log'

const MiB = 2 ** 20

interface HowToOpen {
  /** Default: 1 MiB. */
  readonly bytes?: number
  readonly bootId?: string
  readonly change?: (settings: Settings) => void
  /** Before it recovers. */
  readonly prepare?: (broker: Broker) => void
}

/**
 * Brokers in the test's own process, without a socket and with one range in a directory: for a test that calls handlers itself, or
 * stops a broker between two steps.
 */
export class InProcess {
  private readonly folders: string[] = []
  private readonly opened = new Set<Broker>()

  constructor(private readonly suite: string) {}

  folder(): string {
    const made = mkdtempSync(`/dev/shm/membroker-${this.suite}-`)
    this.folders.push(made)
    return made
  }

  async open(
    directory: string,
    { bytes = MiB, bootId = '0'.repeat(32), change, prepare }: HowToOpen = {},
  ): Promise<Broker> {
    const settings = embeddedDefault({ directory, bytes, socket: `${directory}/unused` })
    change?.(settings)
    const broker = new Broker({ settings, bootId, log: silentLog() })
    this.opened.add(broker)
    prepare?.(broker)
    await recover(broker)
    return broker
  }

  close(broker: Broker): void {
    if (!this.opened.delete(broker)) return
    broker.close()
    for (const range of broker.inventory.ranges.values()) range.close()
  }

  /** For afterEach. */
  dispose(): void {
    for (const broker of this.opened) this.close(broker)
    for (const folder of this.folders.splice(0)) rmSync(folder, { recursive: true })
  }
}

/** A session of this process, as if it were of that uid. */
export function sessionOf(broker: Broker, uid = process.getuid!()): Session {
  return new Session({ pid: process.pid, uid, gid: 0, pidfd: native.pidfdOpen(process.pid) }, broker)
}

export function onlyRange(broker: Broker): Range {
  return [...broker.inventory.ranges.values()][0]!
}

/** What a broker is killed by between two steps. */
export class Killed extends Error {}

/** Wraps functions: of their calls together, the one after so many dies. */
export function dyingAfter(calls: number) {
  let left = calls
  return <Args extends unknown[], Result>(work: (...args: Args) => Result) =>
    function (this: unknown, ...args: Args): Result {
      if (left-- === 0) throw new Killed()
      return work.apply(this, args)
    }
}

/** False: it went to its end. */
export function wasKilled(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => false,
    error => {
      if (!(error instanceof Killed)) throw error
      return true
    },
  )
}
