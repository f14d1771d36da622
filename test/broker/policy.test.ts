/** Proves what the policy lets a uid do, and that an amount that was charged is given back exactly once. */
import fc from 'fast-check'
import { Accounts, type Charge } from '../../src/broker/access/accounts'
import { hashSecret, Policy, secretMatches } from '../../src/broker/access/policy'
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
  const accounts = new Accounts()
  accounts.charge([5], { bytes: 60, allocations: 1 })
  policy.checkQuota(accounts, 5, { bytes: 40, allocations: 1, mappings: 1 })
  const refusal = (more: object) => {
    try {
      policy.checkQuota(accounts, 5, more)
    } catch (error) {
      return (error as Refusal).parameters
    }
    return undefined
  }
  expect(refusal({ bytes: 41 })).toEqual({ uid: 5, resource: 'bytes', limit: 100, used: 60, requested: 41 })
  expect(refusal({ allocations: 2 })).toMatchObject({ resource: 'allocations', limit: 2, used: 1 })
  expect(refusal({ mappings: 2 })).toMatchObject({ resource: 'mappings' })
  // One who is over a limit that was lowered can still do what costs nothing of it.
  accounts.charge([5], { bytes: 100 })
  expect(refusal({ mappings: 1 })).toBeUndefined()
  expect(() => policy.checkQuota(accounts, 5, { bytes: 1 })).toThrow(Refusal)
})

test('accounts are the sum of the open charges, and know nobody who uses nothing', () => {
  const uids = [0, 1, 2, 3]
  const move = fc.record({
    kind: fc.constantFrom('charge', 'close', 'move', 'absorb'),
    payers: fc.uniqueArray(fc.constantFrom(...uids), { minLength: 1, maxLength: 2 }),
    bytes: fc.integer({ min: 1, max: 1000 }),
    which: fc.nat(),
  })
  fc.assert(
    fc.property(fc.array(move), moves => {
      const accounts = new Accounts()
      const open: { charge: Charge; payers: number[]; bytes: number }[] = []
      for (const { kind, payers, bytes, which } of moves) {
        const at = which % Math.max(1, open.length)
        const chosen = open[at]
        if (kind === 'charge' || !chosen)
          open.push({ charge: accounts.charge(payers, { bytes }), payers, bytes })
        else if (kind === 'close') {
          chosen.charge.close()
          open.splice(at, 1)
        } else if (kind === 'move') chosen.charge = chosen.charge.move()
        else {
          chosen.charge.absorb(accounts.charge(chosen.payers, { bytes }))
          chosen.bytes += bytes
        }
        const sums = uids.map(uid =>
          open.reduce((sum, { payers, bytes }) => sum + (payers.includes(uid) ? bytes : 0), 0),
        )
        expect(uids.map(uid => accounts.of(uid).bytes)).toEqual(sums)
        expect([...accounts.entries()].map(([uid]) => uid).sort()).toEqual(uids.filter(uid => sums[uid]! > 0))
      }
    }),
  )
})

test('a charge is closed, moved or absorbed once; afterwards every use of it throws', () => {
  const accounts = new Accounts()
  const ends: Array<(charge: Charge) => void> = [
    charge => charge.close(),
    charge => void charge.move(),
    charge => accounts.charge([5], { bytes: 1 }).absorb(charge),
  ]
  const uses = [...ends, (charge: Charge) => charge.absorb(accounts.charge([5], { bytes: 1 }))]
  for (const end of ends)
    for (const use of uses) {
      const charge = accounts.charge([5], { bytes: 1 })
      end(charge)
      expect(() => use(charge)).toThrow('is used after its end')
    }
  const charge = accounts.charge([5], { bytes: 1 })
  expect(() => charge.absorb(accounts.charge([6], { bytes: 1 }))).toThrow("can't absorb")
})

test('only the secret itself matches, and two hashes of it tell nothing of each other', () => {
  const hash = hashSecret('token')
  expect(secretMatches(hash, 'token')).toBe(true)
  for (const wrong of ['Token', 'token ', '', null, undefined, hash.hash])
    expect(secretMatches(hash, wrong)).toBe(false)
  expect(hashSecret('token').hash).not.toBe(hash.hash)
})
