type Compare<T> = (a: T, b: T) => number

/**
 * The rows of a table: those that are accepted, in order, kept so while they come, change and go. Rows are never
 * changed in place: a changed row is a new object that replaces the old. Compare must tell all rows apart.
 */
export class SortedView<T> {
  rows: T[] = []

  constructor(
    private compare: Compare<T>,
    private accepts: (row: T) => boolean,
  ) {}

  reset(all: Iterable<T>, compare = this.compare, accepts = this.accepts): void {
    this.compare = compare
    this.accepts = accepts
    const rows: T[] = []
    for (const row of all) if (accepts(row)) rows.push(row)
    this.rows = rows.sort(compare)
  }

  replace(old: T | undefined, next: T | undefined): void {
    if (old !== undefined && this.accepts(old)) {
      const at = this.indexOf(old)
      if (at >= 0) {
        if (next !== undefined && this.accepts(next) && this.compare(old, next) === 0) {
          this.rows[at] = next
          return
        }
        this.rows.splice(at, 1)
      }
    }
    if (next !== undefined && this.accepts(next)) this.insert(next)
  }

  /** -1 when it is not among the rows. */
  indexOf(row: T): number {
    const at = this.position(row)
    const there = this.rows[at]
    return there !== undefined && this.compare(there, row) === 0 ? at : -1
  }

  private insert(row: T): void {
    const { rows } = this
    const last = rows.at(-1)
    if (last === undefined || this.compare(last, row) < 0) rows.push(row)
    else rows.splice(this.position(row), 0, row)
  }

  private position(row: T): number {
    let low = 0
    let high = this.rows.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.compare(this.rows[middle]!, row) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
