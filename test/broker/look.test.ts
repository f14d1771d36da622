/**
 * Proves that asking who has memory open, which any owner may do again and again, neither counts the references of each page
 * nor stops a digest that the broker is taking.
 */
import { Prover } from '../../src/broker/revoke/prover'
import type { RevocationHost } from '../../src/broker/revoke/revocation'
import type { Source } from '../../src/broker/source/source'
import type { Range } from '../../src/broker/state/range'

test('a look is no proof', async () => {
  const asked: unknown[] = []
  const source: Pick<Source, 'prove'> = {
    prove: async (id, scan, withPages = true) => {
      asked.push({ id, scans: scan !== undefined, withPages })
      return { kind: 'gone' }
    },
  }
  const contents = {
    unread: async (_id: number, work: () => Promise<unknown>) => {
      asked.push('the digest stops')
      return work()
    },
  }
  const prover = new Prover({ contents } as unknown as RevocationHost)
  const target = { id: 7, range: { source } as unknown as Range, uid: 1000 }
  expect(await prover.look(target)).toEqual({ kind: 'gone' })
  expect(asked.splice(0)).toEqual([{ id: 7, scans: true, withPages: false }])
  expect(await prover.prove(target)).toEqual({ kind: 'gone' })
  expect(asked).toEqual(['the digest stops', { id: 7, scans: true, withPages: true }])
})
