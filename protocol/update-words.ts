import type { Update } from './generated/broker'

/** An update of the host in a line: 'live update: preparing, 3 ready, 1 asked, 0 failed'. */
export function updateInWords({ reason, state, ready, waiting, failed }: Update): string {
  return `${reason}: ${state}, ${ready} ready, ${waiting} asked, ${failed} failed`
}
