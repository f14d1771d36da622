/** A power of two. */
const capacityMin = 16
/** Of an id that is gone. */
const gone = -1
const hashMultiplier = 0x9e3779b1
const highMultiplier = 0x85ebca6b

/**
 * The places of entries in one order, by which iterators count. Once the ids that are gone have left, `next` has the others, and
 * `left` the places that those had.
 */
interface Order {
  left: Uint32Array | undefined
  next: Order | undefined
}

/**
 * Numbers by id, in the order in which the ids came. As with a Map, an iterator stays valid through changes, skips what is deleted
 * and comes to what is added. In typed arrays an entry takes 24 bytes at most once there are many, and V8 goes through none of
 * them: a Map of a million takes 29 MB, twice that while it grows, and two fifths of the time of opening a table.
 */
export class IdIndex {
  /** By place: the id, and its number. */
  private entries = new Float64Array(2 * capacityMin)
  /** By hash, with linear probing: one more than the place; 0: free. At least half are free. */
  private buckets = new Uint32Array(2 * capacityMin)
  private shift = 32 - Math.log2(2 * capacityMin)
  /** Places in use, those of ids that are gone too. */
  private used = 0
  private live = 0
  private order: Order = { left: undefined, next: undefined }

  get size(): number {
    return this.live
  }

  get(id: number): number | undefined {
    const place = this.buckets[this.find(id)]!
    return place === 0 ? undefined : this.entries[2 * place - 1]
  }

  has(id: number): boolean {
    return this.buckets[this.find(id)] !== 0
  }

  set(id: number, value: number): void {
    let bucket = this.find(id)
    if (this.buckets[bucket] === 0) {
      if (2 * this.used === this.entries.length) {
        this.rebuild()
        bucket = this.find(id)
      }
      this.entries[2 * this.used] = id
      this.used += 1
      this.live += 1
      this.buckets[bucket] = this.used
    }
    this.entries[2 * this.buckets[bucket]! - 1] = value
  }

  delete(id: number): void {
    const bucket = this.find(id)
    const place = this.buckets[bucket]!
    if (place === 0) return
    this.entries[2 * place - 2] = gone
    this.live -= 1
    this.vacate(bucket)
    const capacity = this.entries.length / 2
    if (capacity > capacityMin && this.live < capacity / 8) this.rebuild()
  }

  *keys(): IterableIterator<number> {
    for (const [id] of this.pairs()) yield id
  }

  *pairs(): IterableIterator<[id: number, value: number]> {
    let { order } = this
    for (let at = 0; ; at++) {
      for (; order.next; order = order.next) at -= countBelow(order.left!, at)
      if (at >= this.used) return
      const id = this.entries[2 * at]!
      if (id !== gone) yield [id, this.entries[2 * at + 1]!]
    }
  }

  /** Of the id, or the free one where it would be. */
  private find(id: number): number {
    const { buckets, entries } = this
    const last = buckets.length - 1
    let bucket = this.hash(id)
    for (let place = buckets[bucket]!; place !== 0; place = buckets[bucket]!) {
      if (entries[2 * place - 2] === id) break
      bucket = (bucket + 1) & last
    }
    return bucket
  }

  /** Ids are up to 2^53. */
  private hash(id: number): number {
    const high = Math.imul(id / 0x1_0000_0000, highMultiplier)
    return Math.imul((id >>> 0) ^ high, hashMultiplier) >>> this.shift
  }

  /** Moves up those behind it that would not be found any more. */
  private vacate(bucket: number): void {
    const { buckets, entries } = this
    const last = buckets.length - 1
    let free = bucket
    for (let next = (free + 1) & last; buckets[next] !== 0; next = (next + 1) & last) {
      const home = this.hash(entries[2 * buckets[next]! - 2]!)
      // Whether it lies within its probes: between its home and where it is.
      if (((next - home) & last) < ((next - free) & last)) continue
      buckets[free] = buckets[next]!
      free = next
    }
    buckets[free] = 0
  }

  /** Leaves the ids that are gone behind, and makes room: twice what there is. */
  private rebuild(): void {
    const { entries: before, used } = this
    const left = new Uint32Array(used - this.live)
    const capacity = Math.max(capacityMin, 2 ** Math.ceil(Math.log2(2 * this.live)))
    const entries = new Float64Array(2 * capacity)
    const buckets = new Uint32Array(2 * capacity)
    let gaps = 0
    let to = 0
    for (let at = 0; at < used; at++) {
      if (before[2 * at] === gone) left[gaps++] = at
      else {
        entries[to++] = before[2 * at]!
        entries[to++] = before[2 * at + 1]!
      }
    }
    // Until here nothing has changed: there may be no memory.
    this.entries = entries
    this.buckets = buckets
    this.shift = 32 - Math.log2(buckets.length)
    this.used = this.live
    for (let place = 1; place <= this.live; place++) buckets[this.find(entries[2 * place - 2]!)] = place
    if (left.length === 0) return
    const next: Order = { left: undefined, next: undefined }
    this.order.left = left
    this.order.next = next
    this.order = next
  }
}

/** Of ascending numbers. */
function countBelow(numbers: Uint32Array, bound: number): number {
  let [from, to] = [0, numbers.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    if (numbers[middle]! < bound) from = middle + 1
    else to = middle
  }
  return from
}
