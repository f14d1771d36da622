/** Proves that what disturbs the broker while it learns how the kernel counts references does not blind it until its next start. */
import { learnIdleCount } from '../../src/broker/source/pinned-pages'

const pageBytes = 2 ** 21
const understood = { before: 1, during: 2, after: 1 }
const perSmallPage = { before: 512, during: 513, after: 512 }

function learn(...counts: (typeof understood)[]) {
  let tries = 0
  const read = async () => counts[Math.min(tries++, counts.length - 1)]!
  return { learned: learnIdleCount(read, pageBytes), tries: () => tries }
}

test.each([understood, perSmallPage])(
  'the count of an undisturbed page is known at once: %j',
  async counts => {
    const { learned, tries } = learn(counts)
    expect(await learned).toBe(counts.before)
    expect(tries()).toBe(1)
  },
)

test.each([
  { before: 2, during: 3, after: 2 },
  { before: 1, during: 3, after: 1 },
  { before: 1, during: 2, after: 2 },
  { before: 2, during: 2, after: 1 },
])('after a disturbed page %j it is learned from the next', async disturbed => {
  const { learned, tries } = learn(disturbed, disturbed, understood)
  expect(await learned).toBe(1)
  expect(tries()).toBe(3)
})

test('a kernel that counts in another way is given up after a few pages, with what was read', async () => {
  const { learned, tries } = learn({ before: 7, during: 7, after: 7 })
  await expect(learned).rejects.toThrow('not understood (7, 7, 7)')
  expect(tries()).toBe(4)
})

test('where no page can be had, nothing is tried again at once', async () => {
  const error = Object.assign(new Error('no page'), { code: 'ENOSPC' })
  let tries = 0
  const read = () => {
    tries++
    return Promise.reject(error)
  }
  await expect(learnIdleCount(read, pageBytes)).rejects.toBe(error)
  expect(tries).toBe(1)
})
