import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** A page answers at once, over a slow tunnel too. */
const lifetimeMs = 30_000

const timeBytes = 6
const bodyBytes = timeBytes + 16

/**
 * Nonces for a page's proof that it has the token. A nonce itself says that it is of this broker, and since when. So asking for
 * many takes no memory, and makes nobody else's invalid; the broker keeps only the used ones.
 */
export class Challenges {
  private readonly key = randomBytes(32)
  /** The time of their use; the oldest first. */
  private readonly used = new Map<string, number>()

  /** 72 characters of base64url. */
  issue(): string {
    const body = randomBytes(bodyBytes)
    body.writeUIntBE(Math.floor(performance.now()), 0, timeBytes)
    return Buffer.concat([body, this.seal(body)]).toString('base64url')
  }

  /** Whether the nonce is ours, unused and not too old. */
  isOpen(nonce: string): boolean {
    const bytes = Buffer.from(nonce, 'base64url')
    const body = bytes.subarray(0, bodyBytes)
    const seal = this.seal(body)
    const given = bytes.subarray(bodyBytes)
    if (given.length !== seal.length || !timingSafeEqual(given, seal)) return false
    return performance.now() - body.readUIntBE(0, timeBytes) < lifetimeMs && !this.used.has(nonce)
  }

  use(nonce: string): void {
    const now = performance.now()
    for (const [old, at] of this.used) {
      if (now - at < lifetimeMs) break
      this.used.delete(old)
    }
    this.used.set(nonce, now)
  }

  private seal(body: Uint8Array): Buffer {
    return createHmac('sha256', this.key).update(body).digest()
  }
}
