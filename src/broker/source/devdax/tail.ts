import { setTimeout as sleep } from 'node:timers/promises'
import { pinsAccounted, pinsOutstanding } from '../pins'

/** What a process had pinned is let go by kernel threads, some time after it is gone. */
const tailMs = 2000
const patienceMs = 6000
const lookEveryMs = 50

/**
 * Until nothing is pinned on the host; or, where others rightly have pages pinned, until some time has passed and living
 * processes account for every pin. Returns why not, when that does not come about.
 */
export async function untilPinsAreGone(): Promise<string | undefined> {
  const begun = Date.now()
  for (;;) {
    const outstanding = pinsOutstanding()
    if (outstanding === 0) return undefined
    const waited = Date.now() - begun
    if (waited >= tailMs) {
      const accounted = pinsAccounted()
      if (outstanding !== undefined && outstanding <= accounted) return undefined
      if (waited >= patienceMs)
        return outstanding === undefined
          ? "the kernel does not count pinned pages, so whether a dead process left any can't be told"
          : `${outstanding - accounted} pinned pages on this host belong to no living process`
    }
    await sleep(lookEveryMs)
  }
}
