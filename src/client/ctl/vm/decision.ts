import { exitCode, Failure } from '../exit'
import type { GuestMemory } from './guest-memory'
import { otherMemory } from './saved-memory'
import type { Found, SavedState } from './saved-state'

/** resume: continue from the saved state. boot: start from the beginning; reason: why the guest does not use a saved state. */
type Decision =
  | { readonly kind: 'resume'; readonly state: SavedState }
  | { readonly kind: 'boot'; readonly reason: string | undefined }

/**
 * Decides how a guest starts, by the findings beside its memory. checkSavedMemory() comes before it.
 * @throws Failure where it can't start now, but could after a repair; then it throws nothing away
 */
export function decide(found: Found, memory: readonly GuestMemory[], discard: boolean): Decision {
  if (found.kind === 'absent') return { kind: 'boot', reason: undefined }
  if (discard) return { kind: 'boot', reason: '--discard-state discards the saved guest' }
  if (found.kind === 'damaged')
    return { kind: 'boot', reason: `what was saved can't be used: ${found.reason}` }
  if (found.kind === 'foreign')
    throw new Failure(
      'OtherVersion',
      `a guest is saved, but not for this broker-ctl: ${found.reason}. Use the broker-ctl that saved it, or boot with --discard-state`,
      exitCode.refused,
    )
  const { state } = found
  const known = new Set(state.memory.map(({ generation }) => generation))
  if (!memory.some(({ generation }) => known.has(generation)))
    return { kind: 'boot', reason: 'what was saved belongs to memory that is gone' }
  const same =
    state.memory.length === memory.length &&
    state.memory.every(
      ({ generation, bytes }, i) => generation === memory[i]!.generation && bytes === memory[i]!.bytes,
    )
  if (!same) throw otherMemory()
  const bad = memory.find(({ verdict }) => verdict === 'changed' || verdict === 'poisoned')
  if (bad)
    throw new Failure(
      'MemoryDamaged',
      `a guest is saved, but its memory ${bad.allocation} is ${bad.verdict} since: boot with --discard-state`,
      exitCode.refused,
    )
  return { kind: 'resume', state }
}
