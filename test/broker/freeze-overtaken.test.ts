/** Proves that a freeze that fails late ends no freeze of another call, and says that its own is over. */

import type { Call } from '../../protocol/wire/responder'
import type { Broker } from '../../src/broker/broker'
import { freeze } from '../../src/broker/handler/freeze'
import { Refusal } from '../../src/broker/refusal'
import type { Session } from '../../src/broker/session/session'

/** Another call thaws and freezes again while the memory of the first freeze is being preserved. */
function overtaken(preserved: Error | undefined) {
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
    events: { emit: () => {} },
    kernelLog: { catchUp: async () => {} },
    frozenMemory: {
      preserve: async () => {
        frozen = { update: null, sinceMs: 2 }
        if (preserved) throw preserved
      },
    },
    thaw: async (by: unknown) => {
      thaws.push(by)
    },
  } as unknown as Broker
  const session = { uid: 0, peer: { uid: 0, pid: 1 } } as Session
  return { thaws, done: freeze(broker, session, {}, {} as Call) }
}

test('memory that can not be preserved thaws no freeze of another call', async () => {
  const refusal = new Refusal('SourceFailed', {
    range: 'a',
    operation: 'preserve',
    code: 'ENOSPC',
    reason: '',
  })
  const { thaws, done } = overtaken(refusal)
  await expect(done).rejects.toBe(refusal)
  expect(thaws).toEqual([])
})

test('a freeze that another call has ended and begun anew does not answer as frozen', async () => {
  await expect(overtaken(undefined).done).rejects.toMatchObject({ name: 'Refusal' })
})
