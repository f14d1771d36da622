/** Proves that sliced work has as much time as the others just took, between a grant and a turn: a flood does not starve it. */
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
    expect(slices.next()).toBeDefined()
  } finally {
    clock.mockRestore()
  }
})
