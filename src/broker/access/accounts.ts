/** A uid's use of its quota. */
export interface Used {
  bytes: number
  allocations: number
  mappings: number
}

const nothing: Readonly<Used> = { bytes: 0, allocations: 0, mappings: 0 }

/** The use of every uid: the sum of its open charges. Retired memory is charged until it is free. */
export class Accounts {
  private readonly used = new Map<number, Used>()

  of(uid: number): Readonly<Used> {
    return this.used.get(uid) ?? nothing
  }

  entries(): IterableIterator<[number, Readonly<Used>]> {
    return this.used.entries()
  }

  /**
   * Charges the amounts to each of the uids. The receiver of the charge closes it, or gives it to the thing that it
   * pays for.
   */
  charge(uids: Iterable<number>, amounts: Partial<Used>): Charge {
    const { bytes = 0, allocations = 0, mappings = 0 } = amounts
    return new Charge(this.used, [...new Set(uids)], { bytes, allocations, mappings })
  }
}

/**
 * An amount that uids are charged for one thing: an allocation, a mapping, retired memory. It lives in that thing,
 * and ends with it. It counts once: moving it gives it to another thing, and using it afterwards throws.
 */
export class Charge {
  private open = true

  constructor(
    private readonly used: Map<number, Used>,
    private readonly uids: readonly number[],
    private readonly amounts: Used,
  ) {
    this.add(1)
  }

  /** The uids get the amounts back. */
  close(): void {
    this.end()
    this.add(-1)
  }

  /** A part of the thing has become a thing of its own, which pays for these bytes from now on. */
  split(bytes: number): Charge {
    this.checkOpen()
    const part = { ...nothing, bytes }
    this.amounts.bytes -= bytes
    for (const uid of this.uids) this.used.get(uid)!.bytes -= bytes
    return new Charge(this.used, this.uids, part)
  }

  /** For a thing that takes the place of the charged one. */
  move(): Charge {
    this.end()
    this.add(-1)
    return new Charge(this.used, this.uids, this.amounts)
  }

  /** The thing has grown by an amount for which another charge of the same uids has paid. */
  absorb(more: Charge): void {
    this.checkOpen()
    if (String(more.uids) !== String(this.uids))
      throw new Error(`a charge of uid ${this.uids} can't absorb one of uid ${more.uids}`)
    more.end()
    for (const resource of resources) this.amounts[resource] += more.amounts[resource]
  }

  private end(): void {
    this.checkOpen()
    this.open = false
  }

  private checkOpen(): void {
    if (!this.open) throw new Error(`a charge of uid ${this.uids} is used after its end`)
  }

  private add(sign: 1 | -1): void {
    for (const uid of this.uids) {
      const used = this.used.get(uid) ?? { ...nothing }
      for (const resource of resources) used[resource] += sign * this.amounts[resource]
      if (resources.every(resource => used[resource] === 0)) this.used.delete(uid)
      else this.used.set(uid, used)
    }
  }
}

export const resources = ['bytes', 'allocations', 'mappings'] as const
