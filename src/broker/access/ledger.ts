/** What a uid uses of its quota. */
export interface Used {
  bytes: number
  allocations: number
  mappings: number
}

/** The account of what every uid uses, kept with each change. Retired memory is charged until it is free. */
export class Ledger {
  private readonly used = new Map<number, Used>()

  of(uid: number): Readonly<Used> {
    return this.used.get(uid) ?? { bytes: 0, allocations: 0, mappings: 0 }
  }

  /** Amounts may be negative. */
  charge(uid: number, amounts: Partial<Used>): void {
    const used = this.used.get(uid) ?? { bytes: 0, allocations: 0, mappings: 0 }
    used.bytes += amounts.bytes ?? 0
    used.allocations += amounts.allocations ?? 0
    used.mappings += amounts.mappings ?? 0
    if (used.bytes < 0 || used.allocations < 0 || used.mappings < 0)
      throw new Error(`the account of uid ${uid} went below zero: ${JSON.stringify(used)}`)
    if (used.bytes === 0 && used.allocations === 0 && used.mappings === 0) this.used.delete(uid)
    else this.used.set(uid, used)
  }

  entries(): IterableIterator<[number, Used]> {
    return this.used.entries()
  }
}
