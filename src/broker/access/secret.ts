import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { SecretHash } from '../../../protocol/table'

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
