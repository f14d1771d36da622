import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { SecretHash } from '../../../protocol/table'
import { type OwnerLimits, type Settings, unlimited } from '../config/settings'
import { refuse } from '../refusal'
import { type Accounts, resources, type Used } from './accounts'

/**
 * The limit of a uid's records in a table: nothing, a share of its own, or also the share of all without an
 * [[owner]].
 */
export type Standing = 'administrator' | 'owner' | 'other'

/** The rights and limits of uids, from the configuration. A reload replaces the whole policy. */
export class Policy {
  constructor(private readonly settings: Pick<Settings, 'owners' | 'defaults' | 'admins'>) {}

  isAdmin(uid: number): boolean {
    return this.settings.admins.has(uid)
  }

  standing(uid: number): Standing {
    if (this.isAdmin(uid)) return 'administrator'
    return this.settings.owners.has(uid) ? 'owner' : 'other'
  }

  /** Whether the uid may have memory of its own. */
  isTenant(uid: number): boolean {
    const { bytesMax, allocationsMax } = this.limits(uid)
    return this.standing(uid) !== 'other' || (bytesMax > 0 && allocationsMax > 0)
  }

  limits(uid: number): OwnerLimits {
    const own = this.settings.owners.get(uid)
    if (own) return own
    return this.isAdmin(uid) ? unlimited : this.settings.defaults
  }

  /** The uid itself if it may open the memory that it owns by a path. */
  openBy(uid: number): number | undefined {
    return this.limits(uid).openByPath ? uid : undefined
  }

  get anybodyOpensByPath(): boolean {
    const { owners, defaults } = this.settings
    return defaults.openByPath || [...owners.values()].some(({ openByPath }) => openByPath)
  }

  mayUse(uid: number, range: string): boolean {
    return this.limits(uid).ranges?.includes(range) ?? true
  }

  /** @throws Refusal PermissionDenied when the configuration limits the uid's names and this is none of them */
  checkName(uid: number, name: string): void {
    const { names } = this.limits(uid)
    if (names && !names.some(pattern => matches(pattern, name)))
      refuse('PermissionDenied', { reason: `uid ${uid} may use names like ${names.join(', ')} only` })
  }

  /** @throws Refusal QuotaExceeded */
  checkQuota(accounts: Accounts, uid: number, more: Partial<Used>): void {
    const limits = this.limits(uid)
    const used = accounts.of(uid)
    for (const resource of resources) {
      const requested = more[resource] ?? 0
      if (requested <= 0) continue
      const limit = limits[`${resource}Max`]
      if (used[resource] + requested > limit)
        refuse('QuotaExceeded', { uid, resource, limit, used: used[resource], requested })
    }
  }
}

/** `*` stands for any text. A regular expression would take hours for several stars and a hostile name. */
function matches(pattern: string, name: string): boolean {
  const [first, ...rest] = pattern.split('*') as [string, ...string[]]
  const last = rest.pop()
  if (last === undefined) return name === pattern
  if (!name.startsWith(first)) return false
  let at = first.length
  for (const part of rest) {
    const found = name.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return name.length - last.length >= at && name.endsWith(last)
}

/** The forms that the broker and its sources write (0x40000000, alone or as a range) and the kernel's (40000000-4fffffff). */
const address = /0x[0-9a-f]+(?:-0x[0-9a-f]+)?|\b[0-9a-f]{6,16}-[0-9a-f]{6,16}\b/gi

/**
 * A sentence for a client. Only administrators see physical and kernel addresses: to anybody else they are the first half of
 * an attack.
 */
export function redactedFor({ isAdmin }: { isAdmin: boolean }, text: string): string {
  return isAdmin ? text : text.replaceAll(address, '(address)')
}

/** SHA-256 of salt and secret. Secrets are random tokens, so a fast hash is enough. */
export function hashSecret(secret: string): SecretHash {
  const salt = randomBytes(16)
  return { salt: salt.toString('hex'), hash: digest(salt, secret).toString('hex') }
}

export function secretMatches({ salt, hash }: SecretHash, secret: string | null | undefined): boolean {
  if (secret === null || secret === undefined) return false
  return timingSafeEqual(Buffer.from(hash, 'hex'), digest(Buffer.from(salt, 'hex'), secret))
}

function digest(salt: Uint8Array, secret: string): Buffer {
  return createHash('sha256').update(salt).update(secret).digest()
}
