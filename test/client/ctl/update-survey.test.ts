/** Proves what an update finds at risk, by what the ranges say that they can do: before it, and while the broker is frozen. */
import type { Broker } from '../../../src/client'
import { surveyHost } from '../../../src/client/ctl/update/survey'

interface Can {
  survivesKexec: boolean
  freezePreserves?: boolean
}

/** A host with one allocation that nobody holds, in a range of that kind. */
function host(source: string, capabilities: Can): Broker {
  const allocation = { name: 'db/a', uid: 7, range: 'main', bytes: 4096, mappings: 0, shares: [] }
  const stub: Record<string, unknown> = {
    update: async () => ({ participants: [] }),
    ranges: async () => [{ name: 'main', source, capabilities, allocations: 1 }],
    async *list() {
      yield { ...allocation, holderPid: null }
    },
  }
  return stub as unknown as Broker
}

const risksOf = async (source: string, can: Can, stopsServices: boolean) => {
  const { risks } = await surveyHost(host(source, can), stopsServices, new AbortController().signal)
  return risks.map(({ kind }) => kind)
}

test.each<[string, Can, boolean, string[]]>([
  ['devdax', { survivesKexec: true }, true, []],
  ['memfd', { survivesKexec: true, freezePreserves: false }, false, []],
  ['memfd', { survivesKexec: false, freezePreserves: true }, false, []],
  ['memfd', { survivesKexec: false, freezePreserves: true }, true, ['endsWithService']],
  ['memfd', { survivesKexec: false, freezePreserves: false }, false, ['memoryEnds']],
  ['directory', { survivesKexec: false }, false, ['memoryEnds']],
])('memory of %s that can do %p, where services are stopped: %p: %p', async (source, can, stops, risks) => {
  await expect(risksOf(source, can, stops)).resolves.toEqual(risks)
})
