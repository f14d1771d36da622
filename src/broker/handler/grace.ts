import { graceFloorMs } from '../../../protocol/wire/limits'
import type { Broker } from '../broker'
import type { Session } from '../session/session'
import type { Mapping } from '../state/allocation'
import { invalid } from './arguments'

/**
 * How long the holders of the mappings have to let go. Where the deadline kills them or takes their memory, a caller
 * that is no administrator leaves holders of other uids at least graceFloorMs, or grace_ms where that is less.
 */
export function graceFor(
  { settings }: Broker,
  session: Session,
  mappings: Iterable<Mapping>,
  asked: number | null | undefined,
): number {
  const { onDeadline, revokeGraceMs } = settings
  const graceMs = asked ?? revokeGraceMs
  if (graceMs < 0 || graceMs > 86_400_000)
    invalid('graceMs', 'a grace period is from 0 to 86400000 ms, a day')
  if (onDeadline === 'quarantine' || session.isAdmin) return graceMs
  for (const { holder, record } of mappings)
    if (holder && record.uid !== session.uid) return Math.max(graceMs, Math.min(graceFloorMs, revokeGraceMs))
  return graceMs
}
