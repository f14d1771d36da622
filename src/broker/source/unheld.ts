import { SourceError } from '../failure'
import type { Proof } from './source'

/** rule: a clause that says when the operation is possible. @throws SourceError EBUSY while somebody holds the memory */
export function checkUnheld(proof: Proof, rule: string): void {
  if (proof.kind === 'gone') return
  const { why, pids } = proof
  const who = why ?? (pids.length > 0 ? `process ${pids.join(', ')} has` : 'somebody has')
  throw Object.assign(new SourceError(`${rule}; ${who}`), { code: 'EBUSY' })
}
