/** Proves what a mapping says of its process: who lives, who has given it back, and that the next one starts anew. */
import { Accounts } from '../../src/broker/access/accounts'
import { Holder } from '../../src/broker/lease/process'
import { Allocation, Mapping } from '../../src/broker/state/allocation'
import type { Range } from '../../src/broker/state/range'
import { mapping as sampleMapping } from '../table/support/sample'

const holder = (pid: number) => new Holder({ pid, start: 1 }, 1000)

function mappingOf(state: 'held' | 'revoking'): Mapping {
  const charge = new Accounts().charge([1000], {})
  const ram = new Allocation({} as Range, 1, charge)
  return new Mapping(ram, { ...sampleMapping(1), state }, charge)
}

test('it is held, given back, dormant, and held again by the next process that claims it', () => {
  const mapping = mappingOf('held')
  const states = () => [mapping.hold, mapping.state]
  expect(states()).toEqual(['dormant', 'dormant'])
  const first = holder(1)
  mapping.setHolder(first)
  expect(states()).toEqual(['held', 'held'])
  mapping.giveBack()
  expect(states()).toEqual(['givenBack', 'held'])
  first.hasExited = true
  expect(states()).toEqual(['dormant', 'dormant'])
  mapping.setHolder(holder(2))
  expect(states()).toEqual(['held', 'held'])
})

test('whoever waits for it is told once its process gives it back, or is noted to be gone', async () => {
  const ways: Array<(mapping: Mapping) => void> = [
    mapping => mapping.giveBack(),
    mapping => mapping.setHolder(undefined),
  ]
  for (const end of ways) {
    const mapping = mappingOf('revoking')
    mapping.setHolder(holder(1))
    let returned = false
    const waiting = mapping.untilReturned().then(() => {
      returned = true
    })
    await Promise.resolve()
    expect([mapping.state, returned]).toEqual(['revoking', false])
    end(mapping)
    await waiting
    expect(mapping.state).toBe('revoking')
  }
})
