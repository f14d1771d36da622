import { type Change, type UpdateRecord, updateId } from '../../../protocol/table'
import type { Logger } from '../log/log'
import { Refusal } from '../refusal'
import type { Range } from '../state/range'

/** The update in every range's table, so that a broker that is killed knows it at its next start. */
export class UpdateStore {
  constructor(
    private readonly ranges: ReadonlyMap<string, Range>,
    private readonly log: Logger,
  ) {}

  /**
   * It stands where all have it: a broker that was killed had not yet answered for one that only some have, or was
   * ending it. It proceeds where all say so, for the same reason.
   */
  find(): UpdateRecord | undefined {
    const records = this.online().map(range => range.update)
    const [first] = records
    if (!first || records.some(record => record?.number !== first.number)) return undefined
    return records.find(record => record?.state === 'preparing') ?? first
  }

  /** @throws Refusal TableFull: nothing has changed */
  put(record: UpdateRecord): void {
    const done: Array<{ range: Range; before: UpdateRecord | undefined }> = []
    try {
      for (const range of this.online()) {
        const before = range.update
        range.commit([{ put: 'control', value: record }])
        done.push({ range, before })
      }
    } catch (error) {
      for (const { range, before } of done) this.restore(range, before)
      throw error
    }
  }

  /** Where a table refuses, the others lack it, and so it does not stand any more. */
  clear(): void {
    for (const range of this.online()) if (range.update) this.restore(range, undefined)
  }

  private restore(range: Range, before: UpdateRecord | undefined): void {
    const change: Change = before ? { put: 'control', value: before } : { delete: 'control', key: updateId }
    try {
      range.commit([change])
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.log.error({ range: range.name, reason: error.message }, 'the end of an update was not recorded')
    }
  }

  private online(): Range[] {
    return [...this.ranges.values()].filter(range => !range.readOnly)
  }
}
