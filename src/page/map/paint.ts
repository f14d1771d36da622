/** The look of an extent; the order is that of the stack in a column, from the bottom. */
export const paints = [
  'free',
  'table',
  'held',
  'waiting',
  'damaged',
  'revoking',
  'owner-1',
  'owner-2',
  'owner-3',
  'owner-4',
  'owner-5',
  'owner-6',
  'owner-7',
  'owner-8',
  'other-owners',
  'scrubbing',
  'quarantined',
  'poisoned',
] as const

type PaintName = (typeof paints)[number]

/** Index into paints; the index of extents and the rasteriser use it. */
export type Paint = number

export const paintCount = paints.length

export function paint(name: PaintName): Paint {
  return paints.indexOf(name)
}

const ownerSlots = 8
const firstOwner = paint('owner-1')

/** Which owner has which colour: the first eight seen have their own, for as long as the page is open. */
export class OwnerPaints {
  private readonly slots = new Map<number, number>()

  of(uid: number): Paint {
    let slot = this.slots.get(uid)
    if (slot === undefined) {
      slot = this.slots.size
      if (slot >= ownerSlots) return paint('other-owners')
      this.slots.set(uid, slot)
    }
    return firstOwner + slot
  }

  /** Owners with a colour of their own, in the order of their colours. */
  get owners(): number[] {
    return [...this.slots.keys()]
  }
}
