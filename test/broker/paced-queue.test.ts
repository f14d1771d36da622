/** Proves that jobs keep to both rates, come in turns by key, wait for what can't be done yet, and do not wait for ever. */
import { PacedQueue } from '../../src/broker/service/paced-queue'

const rates = { each: { perSecond: 10, burst: 4 }, all: { perSecond: 20, burst: 6 } }
let now = 0
let queue: PacedQueue<string>
let done: string[]

beforeEach(() => {
  jest.useFakeTimers()
  now = 0
  done = []
  queue = new PacedQueue(rates, 1000, () => now)
})
afterEach(() => {
  jest.useRealTimers()
})

const order = (key: string, count: number, weight?: number) => {
  const attempt = () => {
    done.push(key)
    return true
  }
  for (let index = 0; index < count; index++) void queue.run(key, attempt, weight)
}
/** The queue's own timers and its clock are moved alike. */
const pass = (ms: number) => {
  for (let step = 0; step < ms; step++) {
    now++
    jest.advanceTimersByTime(1)
  }
}
const count = (key: string) => done.filter(one => one === key).length

test('one key has its burst and then its rate, however many jobs it has', () => {
  order('a', 100)
  expect(done).toHaveLength(4)
  pass(1000)
  expect(done.length).toBeGreaterThanOrEqual(13)
  expect(done.length).toBeLessThanOrEqual(14)
})

test('another key does not wait for it', () => {
  order('a', 100)
  pass(1000)
  const before = done.length
  order('b', 2)
  expect(done.slice(before)).toEqual(['b', 'b'])
})

test('all together have their own rate, in turns', () => {
  for (const key of ['a', 'b', 'c', 'd']) order(key, 100)
  pass(2000)
  expect(done.length).toBeLessThanOrEqual(6 + 20 * 2)
  expect(done.length).toBeGreaterThanOrEqual(6 + 20 * 2 - 2)
  for (const key of ['b', 'c', 'd']) expect(count(key)).toBeGreaterThanOrEqual(8)
})

test('one job that counts as many waits for no more than another, and what comes after it pays', () => {
  order('a', 2, 16)
  expect(done).toHaveLength(1)
  // 12 more than its burst, at 10 a second.
  pass(1200)
  expect(done).toHaveLength(1)
  pass(200)
  expect(done).toHaveLength(2)
})

test('other rates hold from then on, also for what waits', () => {
  order('a', 100)
  pass(1000)
  expect(done.length).toBeLessThanOrEqual(14)
  const hurry = { perSecond: 100, burst: 10 }
  queue.changeRates({ each: hurry, all: hurry })
  pass(500)
  expect(done.length).toBeGreaterThanOrEqual(14 + 48)
  queue.changeRates(rates)
  const before = done.length
  pass(1000)
  expect(done.length - before).toBeLessThanOrEqual(14)
})

test('other rates forgive nothing, however often they change', () => {
  order('a', 100)
  order('b', 100)
  expect(done).toHaveLength(6)
  const hurry = { perSecond: 100, burst: 10 }
  for (let times = 0; times < 5; times++) {
    queue.changeRates({ each: hurry, all: hurry })
    queue.changeRates(rates)
  }
  expect(done).toHaveLength(6)
})

test('what can not be done yet is tried again and keeps its place; then the rest goes on', async () => {
  let open = false
  const first = queue.run('a', () => {
    if (open) done.push('first')
    return open
  })
  order('a', 1)
  order('b', 1)
  pass(500)
  expect(done).toEqual([])
  open = true
  pass(100)
  await first
  expect(done).toEqual(['first', 'b', 'a'])
})

test('what is in vain for too long fails by name, those behind it as well, and later ones are tried', async () => {
  let open = false
  const attempt = () => open
  const jobs = [queue.run('a', attempt), queue.run('b', attempt)]
  const failed = Promise.allSettled(jobs)
  pass(1200)
  for (const result of await failed) expect(result).toMatchObject({ reason: { code: 'ETIMEDOUT' } })
  pass(5000)
  const later = queue.run('a', attempt)
  later.catch(() => {})
  pass(500)
  open = true
  pass(100)
  await later
})

test('an error is the caller’s own', async () => {
  const failing = queue.run('a', () => {
    throw new Error('no such socket')
  })
  await expect(failing).rejects.toThrow('no such socket')
  order('a', 1)
  expect(done).toEqual(['a'])
})
