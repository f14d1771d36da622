/** Proves that the end of a freeze ends the preserving of its memory, and that neither it nor the next freeze waits for the rest. */
import { FrozenMemory } from '../../src/broker/contents/frozen-memory'
import type { Logger } from '../../src/broker/log/log'
import type { Range } from '../../src/broker/state/range'

test('a freeze that is over asks no further range, and each freeze has its own end', async () => {
  const done: string[] = []
  let isWaiting = true
  const range = (name: string) => ({
    name,
    readable: true,
    table: { state: { allocations: new Map() } },
    source: {
      preserve: async (_memories: unknown, over: AbortSignal) => {
        done.push(`preserve ${name}`)
        if (isWaiting) await new Promise(resolve => over.addEventListener('abort', resolve))
      },
      unpreserve: async () => {
        done.push(`unpreserve ${name}`)
      },
    },
  })
  const ranges = new Map(['a', 'b'].map(name => [name, range(name) as unknown as Range]))
  const frozen = new FrozenMemory({ ranges }, {} as Logger)
  const first = frozen.preserve()
  const again = frozen.preserve()
  await new Promise(setImmediate)
  expect(done).toEqual(['preserve a'])
  frozen.release()
  isWaiting = false
  const next = frozen.preserve()
  await Promise.all([first, again, next])
  expect(done.slice(1)).toEqual(['unpreserve a', 'unpreserve b', 'preserve a', 'preserve b'])
})
