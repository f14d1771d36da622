import type { Poison } from '../../protocol/generated/broker'
import { BrokerError, toBrokerError } from './errors'
import type { Link } from './link'
import type { CallOptions, Verdict } from './options'

/** How far something is that goes through memory; in bytes. */
export interface Progress {
  readonly doneBytes: number
  readonly totalBytes: number
}

export interface ProgressOptions extends CallOptions {
  /** Hears a few times a second how far it is. */
  onProgress?: ((progress: Progress) => void) | undefined
}

export interface FreezeOptions extends ProgressOptions {
  /** Record a digest of every allocation, for verify(). All writers must have stopped. Default: false */
  digests?: boolean | undefined
  /** The number of the update that freezes: the freeze ends with that update. An earlier freeze does not change. */
  update?: number | undefined
}

export interface VerifyOptions extends ProgressOptions {
  /** Only names that begin so. Default: all */
  prefix?: string | undefined
}

/** The result of comparing one allocation with its digest. */
export interface Verified {
  readonly name: string
  readonly verdict: Verdict
  /** Why, where there is more to say than that it was compared. */
  readonly detail: string | undefined
}

/** Where bad memory is. In bytes; it grows to whole pages of the range. */
export interface BadMemory extends CallOptions {
  offset: number
  length: number
}

/** See Broker.verify(). */
export async function* verify(link: Link, options: VerifyOptions): AsyncGenerator<Verified, void> {
  const { prefix, onProgress, signal } = options
  try {
    for await (const { out } of link.replies('Verify', { prefix }, signal)) {
      onProgress?.({ doneBytes: out.verifiedBytes, totalBytes: out.totalBytes })
      if (out.outcome !== 'verified') continue
      if (out.name == null || out.verdict == null)
        throw new BrokerError('ProtocolViolation', "the broker's reply to Verify names no allocation")
      yield { name: out.name, verdict: out.verdict, detail: out.detail ?? undefined }
    }
  } catch (error) {
    throw toBrokerError(error, 'Verify')
  }
}

/** See Broker.freeze(). */
export async function freeze(
  link: Link,
  reason: string | undefined,
  { digests, update, onProgress, signal }: FreezeOptions,
): Promise<void> {
  if (!digests) {
    await link.call('Freeze', { reason, update }, signal)
    return
  }
  const tell = ({ digestedBytes, totalBytes }: { digestedBytes: number; totalBytes: number }) =>
    onProgress?.({ doneBytes: digestedBytes, totalBytes })
  tell(await link.last('Freeze', { reason, digests, update }, signal, tell))
}

/** See Broker.markPoisoned() and Allocation.markPoisoned(). */
export async function markPoisoned(
  link: Link,
  where: { name: string; secret?: string | undefined } | { range: string },
  { offset, length, signal }: BadMemory,
): Promise<Poison[]> {
  // A second report of the same memory changes nothing.
  const { out } = await link.call('MarkPoisoned', { ...where, offset, length }, signal)
  return out.poisoned
}
