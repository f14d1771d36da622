/**
 * Proves that the broker goes on watching a process that holds nothing any more, but only for a moment and only a few of them, and
 * that the end of such a process is no event.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { type Holder, Leases, startTimeOf } from '../../src/broker/lease/process'
import { until } from '../support/test-broker'

const children: ChildProcess[] = []
let leases: Leases
let exited: Holder[]

beforeEach(() => {
  leases = new Leases()
  exited = []
  leases.onExit = holder => exited.push(holder)
})

afterEach(() => {
  leases.close()
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

function living(): { holder: Holder; child: ChildProcess } {
  const child = spawn('sleep', ['1000'])
  children.push(child)
  const pid = child.pid!
  return { holder: leases.hold({ pid, start: startTimeOf(pid)! }, 1000)!, child }
}

/** How many of the children this process watches by a descriptor. */
function watched(): number {
  const pids = new Set(children.map(child => String(child.pid)))
  const infos = readdirSync('/proc/self/fdinfo').map(fd => {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')
    } catch {
      return ''
    }
  })
  return infos.filter(info => pids.has(/^Pid:\s+(\d+)/m.exec(info)?.[1] ?? '')).length
}

test('a process that takes something again is the same holder; one that does not is watched no longer', async () => {
  const { holder } = living()
  leases.releaseIdle(holder)
  expect(leases.hold(holder.identity, 1000)).toBe(holder)
  holder.mappings.add(1)
  const other = living().holder
  leases.releaseIdle(other)
  expect(watched()).toBe(2)
  await until(() => leases.find(other.identity) === undefined, 'the broker lets go of the idle one')
  expect(watched()).toBe(1)
  expect(leases.find(holder.identity)).toBe(holder)
})

test('the end of a holder without anything is no event; that of another one is', async () => {
  const [idle, holding] = [living(), living()]
  holding.holder.allocations.add(1)
  leases.releaseIdle(idle.holder)
  idle.child.kill('SIGKILL')
  holding.child.kill('SIGKILL')
  await until(() => leases.find(holding.holder.identity) === undefined, 'the broker sees the one end')
  await until(() => leases.find(idle.holder.identity) === undefined, 'and the other')
  expect(exited).toEqual([holding.holder])
  expect(idle.holder.hasExited).toBe(true)
})

test('of many idle ones, the first are let go at once', () => {
  const holders = Array.from({ length: 70 }, () => living().holder)
  for (const holder of holders) leases.releaseIdle(holder)
  const watched = holders.filter(holder => leases.find(holder.identity))
  expect(watched).toEqual(holders.slice(-64))
})
