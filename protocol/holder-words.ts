import type { Allocation } from './generated/broker'

/** The processes that have an allocation: '4711', or '4711>4790' while 4790 is to take the place of 4711. */
export function holderInWords({ holderPid, successorPid }: Allocation): string {
  const holder = typeof holderPid === 'number' ? String(holderPid) : '-'
  return typeof successorPid === 'number' ? `${holder}>${successorPid}` : holder
}
