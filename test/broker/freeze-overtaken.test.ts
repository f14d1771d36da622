/** Proves that a freeze that ends late ends no freeze of another call, says that its own is over, and takes no digests then. */

import type { Call } from '../../protocol/wire/responder'
import type { Broker } from '../../src/broker/broker'
import { freeze } from '../../src/broker/handler/freeze'
import { Refusal } from '../../src/broker/refusal'
import type { Session } from '../../src/broker/session/session'

/** Another call thaws and freezes again while the memory of the first freeze is being preserved, or the kernel's log is read. */
function overtaken(during: 'preserve' | 'catchUp', preserved?: Error) {
  let frozen: { update: null; sinceMs: number } | undefined
  const thaws: unknown[] = []
  const range = {
    commit: () => {
      frozen = { update: null, sinceMs: 1 }
    },
  }
  const broker = {
    thawing: undefined,
    get frozen() {
      return frozen && 'a freeze'
    },
    get frozenFor() {
      return frozen
    },
    checkThawed: () => {},
    inventory: { ranges: new Map([['a', range]]) },
    log: { info: () => {} },
    contents: { checkIdle: () => {} },
    events: { emit: () => {} },
    kernelLog: {
      catchUp: async () => {
        if (during === 'catchUp') frozen = { update: null, sinceMs: 2 }
      },
    },
    frozenMemory: {
      preserve: async () => {
        if (during === 'preserve') frozen = { update: null, sinceMs: 2 }
        if (preserved) throw preserved
      },
    },
    thaw: async (by: unknown) => {
      thaws.push(by)
    },
  } as unknown as Broker
  const session = { uid: 0, peer: { uid: 0, pid: 1 } } as Session
  return { thaws, done: freeze(broker, session, { digests: true }, {} as Call) }
}

test('memory that can not be preserved thaws no freeze of another call', async () => {
  const refusal = new Refusal('SourceFailed', {
    range: 'a',
    operation: 'preserve',
    code: 'ENOSPC',
    reason: '',
  })
  const { thaws, done } = overtaken('preserve', refusal)
  await expect(done).rejects.toBe(refusal)
  expect(thaws).toEqual([])
})

test.each(['preserve', 'catchUp'] as const)(
  'a freeze that another call has ended and begun anew does not answer as frozen: %s',
  async during => {
    await expect(overtaken(during).done).rejects.toMatchObject({ name: 'Refusal' })
  },
)
