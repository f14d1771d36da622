/** The amount of something for all parties together, and for each party. */
interface BudgetLimits {
  readonly ofAll: number
  readonly ofOne: number
  /** A party with no more than this is never over its budget. */
  readonly granted: number
}

/**
 * Something that parties use and that runs out. A party may use as much as it leaves for the others: one alone has half of all,
 * and however many there are, the next one finds room. party: a uid, or a number that stands for many.
 */
export class Budget {
  private total = 0
  private readonly used = new Map<number, number>()

  constructor(private readonly limits: BudgetLimits) {}

  /** amount may be negative. */
  use(party: number, amount: number): void {
    this.total += amount
    const used = this.usedBy(party) + amount
    if (used === 0) this.used.delete(party)
    else this.used.set(party, used)
  }

  usedBy(party: number): number {
    return this.used.get(party) ?? 0
  }

  isOver(party: number): boolean {
    const { ofAll, ofOne, granted } = this.limits
    const used = this.usedBy(party)
    return used > granted && (used > ofOne || used > ofAll - this.total)
  }
}
