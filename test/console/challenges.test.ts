// Proves that a nonce is good once, for a short time, with the broker that gave it out, and that keeping account of that
// takes memory for nonces that were used a short time ago only.
import { Challenges } from '../../src/broker/console/challenges'

let now = 1_000_000
beforeEach(() => {
  jest.spyOn(performance, 'now').mockImplementation(() => now)
})
afterEach(() => jest.restoreAllMocks())

const kept = (challenges: Challenges) => (challenges as unknown as { used: Map<string, number> }).used.size

test('a nonce is open until it is used', () => {
  const challenges = new Challenges()
  const [nonce, other] = [challenges.issue(), challenges.issue()]
  expect(nonce).toMatch(/^[\w-]{72}$/)
  expect(challenges.isOpen(nonce)).toBe(true)
  expect(challenges.isOpen(nonce)).toBe(true)
  challenges.use(nonce)
  expect(challenges.isOpen(nonce)).toBe(false)
  expect(challenges.isOpen(other)).toBe(true)
})

test('it expires, used or not, and does not come back when the use of it is forgotten', () => {
  const challenges = new Challenges()
  const [used, unused] = [challenges.issue(), challenges.issue()]
  now += 29_999
  expect(challenges.isOpen(unused)).toBe(true)
  challenges.use(used)
  now += 1
  expect(challenges.isOpen(unused)).toBe(false)
  now += 30_000
  challenges.use(challenges.issue())
  expect(kept(challenges)).toBe(1)
  expect(challenges.isOpen(used)).toBe(false)
})

test('that of another broker, and one with any bit changed, are none', () => {
  const challenges = new Challenges()
  const nonce = challenges.issue()
  expect(new Challenges().isOpen(nonce)).toBe(false)
  for (let bit = 0; bit < 54 * 8; bit++) {
    const bytes = Buffer.from(nonce, 'base64url')
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    expect(challenges.isOpen(bytes.toString('base64url'))).toBe(false)
  }
  for (const text of ['', 'A', 'A'.repeat(72), nonce.slice(1), `${nonce}AAAA`])
    expect(challenges.isOpen(text)).toBe(false)
  expect(challenges.isOpen(nonce)).toBe(true)
})

test('a flood of them takes no memory and closes none', () => {
  const challenges = new Challenges()
  const first = challenges.issue()
  for (let i = 0; i < 20_000; i++) challenges.issue()
  expect(kept(challenges)).toBe(0)
  expect(challenges.isOpen(first)).toBe(true)
})
