/**
 * Proves that what connections make the broker keep is bounded by uid and in all, that room is left for whoever comes next,
 * and that nobody is refused what is granted to everybody. The sockets are real, and their peers read nothing.
 */
import { closeSync, openSync } from 'node:fs'
import { native } from '../../native'
import type { Channel } from '../../protocol/wire/channel'
import { fdsPerMessageMax, outputBytesMax, outputFdsMax } from '../../protocol/wire/limits'
import { Budget } from '../../src/broker/session/budget'
import { ConnectionBudgets } from '../../src/broker/session/metered-channel'
import { openChannel } from '../support/test-broker'

const KiB = 2 ** 10
const MiB = 2 ** 20
const uid = 65534

describe('of something that runs out', () => {
  const limits = { ofAll: 100, ofOne: 30, granted: 4 }

  test('a party has no more than its share, however much is left', () => {
    const budget = new Budget(limits)
    budget.use(uid, 30)
    expect(budget.isOver(uid)).toBe(false)
    budget.use(uid, 1)
    expect(budget.isOver(uid)).toBe(true)
    budget.use(uid, -1)
    expect(budget.isOver(uid)).toBe(false)
  })

  test('many parties together leave room for whoever comes next', () => {
    const budget = new Budget(limits)
    let total = 0
    const fill = (party: number) => {
      for (;;) {
        budget.use(party, 1)
        if (budget.isOver(party)) break
        total++
      }
      budget.use(party, -1)
    }
    for (let party = 1; party <= 4; party++) fill(party)
    expect(total).toBeLessThan(limits.ofAll)
    const before = total
    fill(5)
    expect(total - before).toBeGreaterThanOrEqual(limits.granted)
  })

  test('nobody is over with what is granted, whatever the others have', () => {
    const budget = new Budget(limits)
    budget.use(1, 1000)
    budget.use(uid, 4)
    expect([budget.isOver(1), budget.isOver(uid)]).toEqual([true, false])
    budget.use(uid, 1)
    expect(budget.isOver(uid)).toBe(true)
    budget.use(1, -1000)
    expect(budget.isOver(uid)).toBe(false)
    expect(budget.usedBy(1)).toBe(0)
  })
})

test('calls that wait: all connections of a uid count together, and all uids', () => {
  const budgets = new ConnectionBudgets(1024)
  const ofUid = (party: number, connections: number) =>
    Array.from({ length: connections }, () => budgets.held(party)).map(hold => hold(128 * KiB))
  expect(ofUid(uid, 512)).not.toContain(false)
  expect(ofUid(uid, 1)).toEqual([false])
  // Half a read of another connection is kept all the same.
  expect(budgets.held(uid)(16 * KiB)).toBe(true)
  // Each of these has less than is one's share.
  const others = [1, 2, 3, 4, 5, 6].flatMap(party => ofUid(party, 500))
  expect(others).toContain(false)
  const kept = others.filter(Boolean).length * 128 * KiB
  expect(kept + 64 * MiB).toBeLessThan(256 * MiB)
  expect(ofUid(7, 8)).not.toContain(false)
})

describe('replies that are not read', () => {
  const fds: number[] = []
  let channels: Channel[]
  let tooMuch: number[]
  beforeEach(() => {
    channels = []
    tooMuch = []
  })
  afterEach(() => {
    for (const channel of channels) channel.close()
    for (const fd of fds.splice(0)) closeSync(fd)
  })

  /** Its peer reads nothing, and its socket is full already. */
  function deaf(budgets: ConnectionBudgets, party: number): Channel {
    const [ours, theirs] = native.socketPair()
    fds.push(theirs)
    const events = { onData: () => {}, onEnd: () => {}, onDrain: () => {} }
    const channel = budgets.metered(openChannel(ours)(events), party, () => tooMuch.push(party))
    channels.push(channel)
    while (channel.queuedBytes === 0) channel.send(Buffer.alloc(64 * KiB), [])
    return channel
  }
  const memory = (count: number) => Array.from({ length: count }, () => openSync('/dev/null', 'r'))

  test('their descriptors: a uid has half of them, whatever its connections', () => {
    const budgets = new ConnectionBudgets(1024)
    const most = Array.from({ length: 4 }, () => deaf(budgets, uid))
    for (const channel of most) channel.send(Buffer.alloc(1), memory(128))
    expect(tooMuch).toEqual([])
    const last = deaf(budgets, uid)
    last.send(Buffer.alloc(1), memory(1))
    expect(tooMuch).toEqual([uid])
    last.send(Buffer.alloc(1), memory(1))
    expect(tooMuch).toEqual([uid])
    last.close()
    expect(budgets.descriptors.usedBy(uid)).toBe(512)
  })

  test('their descriptors: many uids leave some for the next', () => {
    const budgets = new ConnectionBudgets(1024)
    for (const party of [1, 2, 3, 4]) {
      for (let connection = 0; connection < 2; connection++)
        deaf(budgets, party).send(Buffer.alloc(1), memory(128))
      deaf(budgets, party).send(Buffer.alloc(1), memory(128))
    }
    expect(tooMuch).toContain(3)
    tooMuch = []
    deaf(budgets, uid).send(Buffer.alloc(1), memory(fdsPerMessageMax))
    deaf(budgets, uid).send(Buffer.alloc(1), memory(outputFdsMax))
    expect(tooMuch).toEqual([])
  })

  test('their bytes: a uid has its share of them, whatever its connections', () => {
    const budgets = new ConnectionBudgets(1024)
    const unread = 15 * MiB
    const send = () => deaf(budgets, uid).send(Buffer.alloc(unread), [])
    for (let connection = 0; connection < 4; connection++) send()
    expect(tooMuch).toEqual([])
    send()
    expect(tooMuch).toEqual([uid])
    channels.pop()!.close()
    expect(budgets.output.usedBy(uid)).toBeLessThan(64 * MiB)
    deaf(budgets, uid + 1).send(Buffer.alloc(2 * outputBytesMax - 64 * KiB), [])
    expect(tooMuch).toEqual([uid])
  })
})
