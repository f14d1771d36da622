/**
 * Proves that jobs keep to both rates, or in a hurry to the other side's own pace, come in turns by key, wait for what can't be
 * done yet, and do not wait for ever.
 */
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

/** The other side reads all of a piece at once, so many milliseconds after it is asked. */
const readingIn = (ms: number) => () => {
  const piece = done.length - passed
  passed = done.length
  pieces.push(piece)
  return new Promise<void>(resolve => setTimeout(resolve, ms))
}
let passed = 0
let pieces: number[] = []
beforeEach(() => {
  passed = 0
  pieces = []
})
/** As pass(), with what promises do in between. */
const passSlowly = async (ms: number) => {
  for (let step = 0; step < ms; step++) {
    now++
    await jest.advanceTimersByTimeAsync(1)
  }
}

test('in a hurry a piece follows when the other side has read the one before and had time for others', async () => {
  queue.hurry(readingIn(20))
  order('a', 100)
  expect(done).toHaveLength(16)
  await passSlowly(29)
  expect(done).toHaveLength(16)
  await passSlowly(1)
  expect(done).toHaveLength(32)
  await passSlowly(150)
  expect(done).toHaveLength(100)
  expect(pieces).toEqual([16, 16, 16, 16, 16, 16])
})

test.each<[number, number[]]>([
  [1, [16, 32, 64, 128, 256, 256, 256]],
  [200, [16, 16, 16]],
])('a piece is as large as what the other side reads in a moment: %s ms for each', async (ms, sizes) => {
  queue.hurry(readingIn(ms))
  order('a', 10_000)
  await passSlowly(600)
  expect(pieces.slice(0, sizes.length)).toEqual(sizes)
})

test('a hurry takes what waited before in turns by key, and counts for no rate', async () => {
  order('a', 10)
  order('b', 10)
  expect(done).toHaveLength(6)
  queue.hurry(readingIn(1))
  await passSlowly(10)
  expect(done).toHaveLength(20)
  queue.hurry(undefined)
  order('a', 100)
  // As much as came to it since, at its rate.
  expect(done).toHaveLength(20)
  await passSlowly(1000)
  expect(count('a')).toBeGreaterThanOrEqual(18)
  expect(count('a')).toBeLessThanOrEqual(21)
})

test('in a hurry what waits fails by name when the other side does not read for too long', async () => {
  let isThere = false
  let asked = 0
  queue.hurry(() => {
    asked++
    return isThere ? new Promise(() => {}) : undefined
  })
  order('a', 16)
  const failed = Promise.allSettled(['a', 'b'].map(key => queue.run(key, () => true)))
  await passSlowly(500)
  expect(asked).toBeGreaterThan(3)
  isThere = true
  await passSlowly(540)
  for (const result of await failed) expect(result).toMatchObject({ reason: { code: 'ETIMEDOUT' } })
  expect(done).toHaveLength(16)
})

test('what comes in the same hurry after that fails at once, and the next one asks again', async () => {
  const never = () => new Promise<void>(() => {})
  queue.hurry(never)
  order('a', 16)
  const failed = queue.run('a', () => true).catch(({ code }) => code)
  await passSlowly(1010)
  expect(await failed).toBe('ETIMEDOUT')
  await expect(queue.run('b', () => true)).rejects.toMatchObject({ code: 'ETIMEDOUT' })
  queue.hurry(undefined)
  await queue.run('b', () => true)
  queue.hurry(never)
  await queue.run('b', () => true)
})

test('a hurry that is told of it waits for as long as the other side does not read', async () => {
  let toldAt = 0
  let read = () => {}
  queue.hurry(
    () =>
      new Promise(resolve => {
        read = resolve
      }),
    () => {
      toldAt ||= now
    },
  )
  order('a', 17)
  await passSlowly(5000)
  expect([done.length, toldAt]).toEqual([16, 1000])
  read()
  await passSlowly(110)
  expect(done).toHaveLength(17)
})

test('in a hurry an error is each caller’s own', async () => {
  queue.hurry(() => {
    throw new Error('no such socket')
  })
  order('a', 40)
  await passSlowly(10)
  expect(done).toHaveLength(40)
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
