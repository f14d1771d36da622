import { BufferMedium } from './buffer-medium'

/** One aligned 8-byte store. fence: it came by publish(), after everything before it. */
interface Store {
  readonly offset: number
  readonly bytes: Buffer
  readonly fence: boolean
}

/** A table in a buffer, and every single store that made it. */
export class RecordingMedium extends BufferMedium {
  readonly stores: Store[] = []

  override write(offset: number, bytes: Uint8Array): void {
    if (offset % 8 !== 0 || bytes.length % 8 !== 0)
      throw new Error(`not whole words: ${offset}+${bytes.length}`)
    super.write(offset, bytes)
    for (let at = 0; at < bytes.length; at += 8) {
      this.stores.push({ offset: offset + at, bytes: Buffer.from(bytes.subarray(at, at + 8)), fence: false })
    }
  }

  override publish(offset: number, low: number, high: number): void {
    if (offset % 8 !== 0) throw new Error(`not a word: ${offset}`)
    super.publish(offset, low, high)
    this.stores.push({ offset, bytes: Buffer.from(this.buffer.subarray(offset, offset + 8)), fence: true })
  }
}

interface CrashPoint {
  /** What the memory holds; valid until the next point. */
  readonly image: Buffer
  /** Stores before this one are there; of its group, those that order says. */
  readonly store: number
  readonly order: 'forward' | 'backward' | 'scattered'
}

/**
 * Every state of memory in which the stores can be stopped. Stores between two fences may arrive in any order, so each
 * such group is stopped after every store in forward order, after every store in backward order, and `scattered` times
 * with a random part of it. A fence arrives after its group.
 */
export function* crashPoints(
  initial: Buffer,
  stores: readonly Store[],
  random: () => number,
  scattered: number,
): Generator<CrashPoint> {
  const image = Buffer.from(initial)
  yield { image, store: 0, order: 'forward' }
  let first = 0
  while (first < stores.length) {
    let fence = first
    while (fence < stores.length && !stores[fence]!.fence) fence++
    const group = stores.slice(first, fence)
    const before = group.map(store => Buffer.from(image.subarray(store.offset, store.offset + 8)))
    const restore = () => {
      for (let index = group.length - 1; index >= 0; index--) before[index]!.copy(image, group[index]!.offset)
    }
    for (let index = group.length - 1; index > 0; index--) {
      apply(image, group[index]!)
      yield { image, store: first, order: 'backward' }
    }
    restore()
    for (let round = 0; group.length > 2 && round < scattered; round++) {
      for (const store of group) if (random() < 0.5) apply(image, store)
      yield { image, store: first, order: 'scattered' }
      restore()
    }
    for (let index = 0; index < group.length; index++) {
      apply(image, group[index]!)
      yield { image, store: first + index + 1, order: 'forward' }
    }
    if (fence < stores.length) {
      apply(image, stores[fence]!)
      yield { image, store: fence + 1, order: 'forward' }
    }
    first = fence + 1
  }
}

function apply(image: Buffer, store: Store): void {
  store.bytes.copy(image, store.offset)
}
