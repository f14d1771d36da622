import type { Allocation, Update } from './generated/broker'

/** The processes that have an allocation: '4711', or '4711>4790' while 4790 is to take the place of 4711. */
export function holderInWords({ holderPid, successorPid }: Allocation): string {
  const holder = typeof holderPid === 'number' ? String(holderPid) : '-'
  return typeof successorPid === 'number' ? `${holder}>${successorPid}` : holder
}

/** An update of the host in a line: 'live update: preparing, 3 ready, 1 asked, 0 failed'. */
export function updateInWords({ reason, state, ready, waiting, failed }: Update): string {
  return `${reason}: ${state}, ${ready} ready, ${waiting} asked, ${failed} failed`
}
