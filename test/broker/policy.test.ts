/** Proves what the policy lets a uid do, and that the ledger is exact and never goes below zero. */
import fc from 'fast-check'
import { Ledger } from '../../src/broker/access/ledger'
import { Policy } from '../../src/broker/access/policy'
import { hashSecret, secretMatches } from '../../src/broker/access/secret'
import { type OwnerLimits, unlimited } from '../../src/broker/config/settings'
import { Refusal } from '../../src/broker/refusal'

const policyFor = (limits: Partial<OwnerLimits>, defaults: Partial<OwnerLimits> = { bytesMax: 0 }) =>
  new Policy({
    owners: new Map([[5, { ...unlimited, ...limits }]]),
    defaults: { ...unlimited, ...defaults },
    admins: new Set([0]),
  })
const mayName = (pattern: string, name: string) => {
  try {
    policyFor({ names: [pattern] }).checkName(5, name)
    return true
  } catch (error) {
    expect(error).toMatchObject({ error: 'PermissionDenied' })
    return false
  }
}

test.each([
  ['vm-42/*', 'vm-42/ram', true],
  ['vm-42/*', 'vm-42/', true],
  ['vm-42/*', 'vm-421/ram', false],
  ['vm-42/*', 'x/vm-42/ram', false],
  ['vm-?', 'vm-1', false],
  ['a.c', 'abc', false],
  ['a.c', 'a.c', true],
  ['[a]*', 'a', false],
  ['*', 'anything\nat all', true],
  ['*/ram', 'vm/1/ram', true],
  ['*/ram', '/ram', true],
  ['*/ram', 'vm/ramp', false],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['a*b*c', 'a-b-b-c', true],
  ['a*b*b*c', 'a-b-c', false],
  ['ab*ba', 'aba', false],
])('the names that %s lets in: %j is %s', (pattern, name, allowed) => {
  expect(mayName(pattern, name)).toBe(allowed)
})

test('a pattern means the same as its regular expression', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 })
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(pattern, text, (glob, name) => {
      const escaped = glob.replaceAll('.', '\\.').replaceAll('*', '.*')
      expect(mayName(glob, name)).toBe(new RegExp(`^${escaped}$`, 's').test(name))
    }),
  )
})

test('a hostile name against many stars is refused in no time', () => {
  const from = performance.now()
  expect(mayName('*-*-*-*-*-*-*-*x', '-'.repeat(255))).toBe(false)
  expect(performance.now() - from).toBeLessThan(20_000)
})

test('an entry of its own comes before being an administrator, and that before the defaults', () => {
  const policy = policyFor({ bytesMax: 10 })
  expect(policy.limits(5).bytesMax).toBe(10)
  expect(policy.limits(0).bytesMax).toBe(Infinity)
  expect(policy.limits(6).bytesMax).toBe(0)
  expect(policyFor({ ranges: ['a'] }).mayUse(5, 'a')).toBe(true)
  expect(policyFor({ ranges: ['a'] }).mayUse(5, 'b')).toBe(false)
  expect(policyFor({ ranges: [] }).mayUse(5, 'a')).toBe(false)
})

test('a quota is exact for each resource', () => {
  const policy = policyFor({ bytesMax: 100, allocationsMax: 2, mappingsMax: 1 })
  const ledger = new Ledger()
  ledger.charge(5, { bytes: 60, allocations: 1 })
  policy.checkQuota(ledger, 5, { bytes: 40, allocations: 1, mappings: 1 })
  const refusal = (more: object) => {
    try {
      policy.checkQuota(ledger, 5, more)
    } catch (error) {
      return (error as Refusal).parameters
    }
    return undefined
  }
  expect(refusal({ bytes: 41 })).toEqual({ uid: 5, resource: 'bytes', limit: 100, used: 60, requested: 41 })
  expect(refusal({ allocations: 2 })).toMatchObject({ resource: 'allocations', limit: 2, used: 1 })
  expect(refusal({ mappings: 2 })).toMatchObject({ resource: 'mappings' })
  // One who is over a limit that was lowered can still do what costs nothing of it.
  ledger.charge(5, { bytes: 100 })
  expect(refusal({ mappings: 1 })).toBeUndefined()
  expect(() => policy.checkQuota(ledger, 5, { bytes: 1 })).toThrow(Refusal)
})

test('the ledger is the sum of what was charged, knows nobody who uses nothing, and never goes below zero', () => {
  const amount = fc.integer({ min: 1, max: 1000 })
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), amount, fc.boolean())), moves => {
      const ledger = new Ledger()
      const sums = [0, 0, 0, 0]
      for (const [uid, bytes, back] of moves) {
        if (back && bytes > sums[uid]!) {
          expect(
            () => ledger.of(uid).bytes - bytes < 0 && new Ledger().charge(uid, { bytes: -bytes }),
          ).toThrow('below zero')
          continue
        }
        ledger.charge(uid, { bytes: back ? -bytes : bytes })
        sums[uid]! += back ? -bytes : bytes
      }
      expect(sums).toEqual([0, 1, 2, 3].map(uid => ledger.of(uid).bytes))
      expect([...ledger.entries()].map(([uid]) => uid).sort()).toEqual(
        [0, 1, 2, 3].filter(uid => sums[uid]! > 0),
      )
    }),
  )
})

test('only the secret itself matches, and two hashes of it tell nothing of each other', () => {
  const hash = hashSecret('token')
  expect(secretMatches(hash, 'token')).toBe(true)
  for (const wrong of ['Token', 'token ', '', null, undefined, hash.hash])
    expect(secretMatches(hash, wrong)).toBe(false)
  expect(hashSecret('token').hash).not.toBe(hash.hash)
})
