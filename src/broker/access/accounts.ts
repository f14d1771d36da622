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
    return Charge.open(this.used, [...new Set(uids)], { bytes, allocations, mappings })
  }

  /** Charges a uid for an allocation, for which counted() makes the Charge once something needs it. */
  count(uid: number, bytes: number): void {
    add(this.used, uid, { bytes, allocations: 1, mappings: 0 }, 1)
  }

  /** The charge that count() has made. */
  counted(uid: number, bytes: number): Charge {
    return new Charge(this.used, [uid], { bytes, allocations: 1, mappings: 0 })
  }
}

/**
 * An amount that uids are charged for one thing: an allocation, a mapping, retired memory. It lives in that thing,
 * and ends with it. It counts once: moving it gives it to another thing, and using it afterwards throws.
 */
export class Charge {
  private open = true

  /** The uids have the amounts already. */
  constructor(
    private readonly used: Map<number, Used>,
    private readonly uids: readonly number[],
    private readonly amounts: Used,
  ) {}

  static open(used: Map<number, Used>, uids: readonly number[], amounts: Used): Charge {
    for (const uid of uids) add(used, uid, amounts, 1)
    return new Charge(used, uids, amounts)
  }

  /** The uids get the amounts back. */
  close(): void {
    this.end()
    for (const uid of this.uids) add(this.used, uid, this.amounts, -1)
  }

  /** A part of the thing has become a thing of its own, which pays for these bytes from now on. */
  split(bytes: number): Charge {
    this.checkOpen()
    this.amounts.bytes -= bytes
    return new Charge(this.used, this.uids, { ...nothing, bytes })
  }

  /** For a thing that takes the place of the charged one. */
  move(): Charge {
    this.end()
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
}

function add(of: Map<number, Used>, uid: number, { bytes, allocations, mappings }: Used, sign: 1 | -1): void {
  let used = of.get(uid)
  if (!used) {
    used = { ...nothing }
    of.set(uid, used)
  }
  used.bytes += sign * bytes
  used.allocations += sign * allocations
  used.mappings += sign * mappings
  if (resources.every(resource => used[resource] === 0)) of.delete(uid)
}

export const resources = ['bytes', 'allocations', 'mappings'] as const
