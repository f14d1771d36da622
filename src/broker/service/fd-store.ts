import type { Notify } from './libsystemd'
import { rangeOfStoreName, storeName } from './store-name'

/**
 * The service manager's fd store: memfds that it keeps while no broker runs, and passes to the next one. It answers
 * nothing, and drops what is beyond its size without a word, so the size must be known.
 */
export class FdStore {
  /** Names in the store by now. */
  private readonly stored: Set<string>

  constructor(
    private readonly notify: Notify,
    /** Descriptors it holds at most: FileDescriptorStoreMax= of the unit. */
    readonly size: number,
    /** The process that has copies of all descriptors in it: it holds no memory on its own account. */
    readonly keeperPid: number,
    private readonly kept: Map<string, number>,
  ) {
    this.stored = new Set(kept.keys())
  }

  /** What earlier brokers have left of a range; the caller owns the descriptors. */
  takeRange(range: string): Map<number | 'table', number> {
    const found = new Map<number | 'table', number>()
    for (const [name, fd] of this.kept) {
      const parts = rangeOfStoreName(name)!
      if (parts.range !== range) continue
      found.set(parts.item, fd)
      this.kept.delete(name)
    }
    return found
  }

  /** Ranges of which something is kept that nobody has taken. It stays in the store. */
  untakenRanges(): string[] {
    return [...new Set([...this.kept.keys()].map(name => rangeOfStoreName(name)!.range))]
  }

  /** A copy of fd survives this broker from now on. @throws Error with code EMFILE when the store is full */
  put(range: string, item: number | 'table', fd: number): void {
    const name = storeName(range, item)
    if (this.stored.size >= this.size)
      throw Object.assign(
        new Error(`the service manager's fd store is full (FileDescriptorStoreMax=${this.size})`),
        { code: 'EMFILE', syscall: 'sd_notify' },
      )
    this.notify(`FDSTORE=1\nFDNAME=${name}`, [fd])
    this.stored.add(name)
  }

  remove(range: string, item: number | 'table'): void {
    const name = storeName(range, item)
    if (this.stored.delete(name)) this.notify(`FDSTOREREMOVE=1\nFDNAME=${name}`)
  }
}
