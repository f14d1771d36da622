/**
 * Proves that sliced work has as much time as the others just took, between a grant and a turn, so that a flood does not starve
 * it; and that much such work at once keeps others waiting no longer than one piece of it.
 */
import { Slices } from '../../src/broker/slices'

test.each([
  ['nobody else', 0, 0.25],
  ['a short call', 1, 1],
  ['a flood', 40, 2],
])('after %s', async (_, othersMs, sliceMs) => {
  let now = 0
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => now)
  try {
    const slices = new Slices()
    now += 0.25
    const turn = slices.next()
    expect(turn).toBeDefined()
    now += othersMs
    await turn
    now += sliceMs - 0.01
    expect(slices.next()).toBeUndefined()
    now += 0.02
    const last = slices.next()
    expect(last).toBeDefined()
    await last
  } finally {
    clock.mockRestore()
  }
})

test('each iteration of the event loop has one slice', async () => {
  let now = 0
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => now)
  const order: string[] = []
  try {
    const [first, second] = [new Slices(), new Slices()]
    now += 1
    const turns = [
      first.next()!.then(() => order.push('first')),
      second.next()!.then(() => order.push('second')),
    ]
    setImmediate(() => order.push('others'))
    await Promise.all(turns)
    expect(order).toEqual(['first', 'others', 'second'])
    // Neither takes the other for others.
    now += 0.24
    expect([first.next(), second.next()]).toEqual([undefined, undefined])
    now += 0.02
    expect(second.next()).toBeDefined()
  } finally {
    clock.mockRestore()
  }
})
