import type { Settings } from '../config/settings'

/** Each administrator and each owner has so many places that nobody else can take. These shares of all places bound them. */
const reservedMax = 16
const adminsShare = 1 / 8
const ownersShare = 1 / 4

export type PlaceLimits = Pick<
  Settings,
  'clientsMax' | 'clientsPerUidMax' | 'strangersMax' | 'owners' | 'admins'
>

/** A connection takes a place, until it gives it back. */
export interface Place {
  readonly uid: number
  readonly isStranger: boolean
}

/**
 * Limits the connections of each uid. Each administrator and each uid with an [[owner]] has some places that nobody else can
 * take; strangers, who have no right to anything, share a few. So neither a uid, nor two, nor all others together can lock out
 * a uid that must get in.
 */
export class Places {
  private readonly ofUid = new Map<number, number>()
  private taken = 0
  private strangers = 0
  /** Reserved places that their uids have not taken yet. */
  private kept = 0
  private limits: PlaceLimits | undefined
  private reserved = { admin: 0, owner: 0 }

  /** New limits take no place away from a connection. */
  setLimits(limits: PlaceLimits): void {
    if (limits === this.limits) return
    this.limits = limits
    const { admins, owners, clientsMax } = limits
    const each = (share: number, count: number) =>
      Math.min(reservedMax, Math.floor((clientsMax * share) / Math.max(1, count)))
    this.reserved = { admin: each(adminsShare, admins.size), owner: each(ownersShare, owners.size) }
    this.kept = 0
    for (const uid of new Set([...admins, ...owners.keys()]))
      this.kept += Math.max(0, this.reservedOf(uid) - this.of(uid))
  }

  of(uid: number): number {
    return this.ofUid.get(uid) ?? 0
  }

  /** undefined: there is no place for it. */
  take(uid: number, isStranger: boolean): Place | undefined {
    const own = this.of(uid)
    const isKept = own < this.reservedOf(uid)
    if (!isKept && !this.hasRoom(uid, own, isStranger)) return undefined
    if (isKept) this.kept--
    this.ofUid.set(uid, own + 1)
    this.taken++
    if (isStranger) this.strangers++
    return { uid, isStranger }
  }

  giveBack({ uid, isStranger }: Place): void {
    const left = this.of(uid) - 1
    if (left === 0) this.ofUid.delete(uid)
    else this.ofUid.set(uid, left)
    this.taken--
    if (isStranger) this.strangers--
    if (left < this.reservedOf(uid)) this.kept++
  }

  private hasRoom(uid: number, own: number, isStranger: boolean): boolean {
    const { clientsMax, clientsPerUidMax, strangersMax, admins } = this.limits!
    if (this.taken + this.kept >= clientsMax) return false
    if (own >= clientsPerUidMax && !admins.has(uid)) return false
    return !isStranger || (this.strangers < strangersMax && own < Math.ceil(strangersMax / 2))
  }

  private reservedOf(uid: number): number {
    if (this.limits!.admins.has(uid)) return this.reserved.admin
    return this.limits!.owners.has(uid) ? this.reserved.owner : 0
  }
}
