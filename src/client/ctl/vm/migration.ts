import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Qmp, QmpError } from './qmp'

/** If no event comes for so long, QEMU is asked. */
const quietMs = 250
const cancelMs = 10_000

/**
 * QEMU's migration, outgoing or incoming, by its events. QEMU is asked only where they fail to come: a question takes time from a
 * guest that stands still.
 */
export class Migration {
  /** undefined: none has begun. */
  private status: string | undefined

  /** @param exited resolves when QEMU has ended */
  constructor(
    private readonly qmp: Qmp,
    private readonly exited: Promise<unknown>,
  ) {
    qmp.on('event', (name, { status }) => {
      if (name === 'MIGRATION') this.status = String(status)
    })
  }

  /** @throws QmpError */
  async begin(command: 'migrate' | 'migrate-incoming', uri: string): Promise<void> {
    this.status = 'setup'
    try {
      await this.qmp.execute(command, { uri })
    } catch (error) {
      if ((error as QmpError).kind === 'refused') this.status = undefined
      throw error
    }
  }

  /**
   * Waits until QEMU has sent or received everything.
   * @param what the participle of what it does, for an error
   * @param deadline by performance.now()
   * @throws Error in QEMU's words
   */
  async completed(what: string, deadline: number, signal?: AbortSignal): Promise<void> {
    while (this.status !== 'completed') {
      signal?.throwIfAborted()
      if (this.status === 'failed' || this.status === 'cancelled')
        throw new Error((await this.ask()) ?? `the guest could not be ${what}: ${this.status}`)
      if (performance.now() > deadline)
        throw new Error(`the deadline is over, and the migration is in the state "${this.status}"`)
      if (!(await this.event())) await this.ask()
    }
  }

  /** Ends an outgoing one. False: it was too late, QEMU has sent the guest. */
  async cancel(): Promise<boolean> {
    if (this.status === undefined) return true
    await this.qmp.execute('migrate_cancel').catch(() => {})
    return this.completed('cancelled', performance.now() + cancelMs).then(
      () => false,
      () => true,
    )
  }

  /** Returns the reason of a failure. @throws QmpError */
  private async ask(): Promise<string | undefined> {
    type Answer = { status?: string; 'error-desc'?: string } | null
    const answer = (await this.qmp.execute('query-migrate')) as Answer
    this.status = answer?.status ?? this.status
    return answer?.['error-desc']
  }

  /** Waits for an event. False: none came. */
  private async event(): Promise<boolean> {
    const over = new AbortController()
    const { signal } = over
    const came = once(this.qmp, 'event', { signal }).then(
      () => true,
      () => false,
    )
    const none = sleep(quietMs, false, { signal }).catch(() => false)
    try {
      return await Promise.race([came, none, this.exited.then(() => false)])
    } finally {
      over.abort()
    }
  }
}
