/** Proves that scrubs of a range take turns: four at once, two of one owner, and that none begins once the broker ends. */
import { setImmediate as immediate } from 'node:timers/promises'
import { ScrubTurns } from '../../src/broker/source/scrub'

test('four scrub at once, two of one owner; the others follow', async () => {
  const turns = new ScrubTurns()
  const begun: string[] = []
  const ends: (() => void)[] = []
  const over = ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'c2'].map(name =>
    turns.run(name.charCodeAt(0), () => {
      begun.push(name)
      return new Promise(resolve => ends.push(resolve))
    }),
  )
  expect(begun).toEqual(['a1', 'a2', 'b1', 'c1'])
  while (begun.length < over.length) {
    ends.shift()!()
    await immediate()
  }
  for (const end of ends) end()
  await Promise.all(over)
  expect(begun).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'c2', 'a4'])
})

test('a scrub that waits begins no more once the broker ends', async () => {
  const turns = new ScrubTurns()
  const never = () => new Promise<void>(() => {})
  let isBegun = false
  const endFirst = await new Promise<() => void>(resolve => {
    void turns.run(1, () => new Promise<void>(end => resolve(end)))
  })
  void turns.run(1, never)
  const waiting = turns.run(1, async () => {
    isBegun = true
  })
  turns.close()
  endFirst()
  await expect(waiting).rejects.toThrow('the broker ends; its next start scrubs the memory')
  expect(isBegun).toBe(false)
})
