import { isEnvironment } from '../failure'
import type { Logger } from '../log/log'
import { Refusal, refuseSource } from '../refusal'
import type { Inventory } from '../state/inventory'
import { memoryOf, type Range } from '../state/range'

/** Has ranges preserve their memory while everything is frozen, if they do so only then. One change follows another. */
export class FrozenMemory {
  private last: Promise<void> = Promise.resolve()
  /** Aborted once the memory is to be released. */
  private over = new AbortController()

  constructor(
    private readonly inventory: Pick<Inventory, 'ranges'>,
    private readonly log: Logger,
  ) {}

  /**
   * Answers early, without all of it, once release() is called.
   * @throws Refusal SourceFailed, LimitExceeded (the fd store is full): what is preserved already stays so
   */
  preserve(): Promise<void> {
    const { signal } = this.over
    return this.next(async ({ name, table, source }) => {
      if (signal.aborted) return
      try {
        await source.preserve?.([...table.state.allocations.values()].map(memoryOf), signal)
      } catch (error) {
        if (!isEnvironment(error) || error instanceof Refusal) throw error
        refuseSource(name, 'preserve', error)
      }
    })
  }

  /** It ends while others go on. */
  release(): void {
    this.over.abort()
    this.over = new AbortController()
    this.next(({ source }) => source.unpreserve?.()).catch(error => {
      if (!isEnvironment(error)) throw error
      this.log.error({ err: error }, 'memory stays preserved')
    })
  }

  private next(change: (range: Range) => Promise<void> | undefined): Promise<void> {
    const run = async () => {
      for (const range of this.inventory.ranges.values()) if (range.readable) await change(range)
    }
    const done = this.last.then(run, run)
    this.last = done
    return done
  }
}
