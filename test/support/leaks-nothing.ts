import { readdirSync, readlinkSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { OtherProcess } from './other-process'
import { type TestBroker, type TestClient, until } from './test-broker'

/** What must be the same after a test as before it. */
interface Account {
  brokerFds: string[]
  ownFds: string[]
  freeBytes: number
  allocations: number
  mappings: number
  retired: unknown[]
  usage: unknown[]
  clients: number
}

/**
 * Runs a test's body, gives back in its place what it left allocated, and then demands that the broker and this process
 * are as they were: descriptors, free bytes, quota. What gives back is an administrator, as an operator would.
 */
export async function leaksNothing(broker: TestBroker, body: () => Promise<void>): Promise<void> {
  // A first call makes what is made once: the accounts are of a broker that has answered before.
  await account(broker)
  const before = await settled(() => account(broker))
  await body().finally(() => OtherProcess.killAll())
  broker.closeClients()
  await releaseEverything(broker)
  let after = before
  await until(async () => {
    after = await account(broker)
    return isDeepStrictEqual(withoutFds(after), withoutFds(before)) && fdsLeft(after, before).length === 0
  }, 'everything is back').catch(() => {
    expect(withoutFds(after)).toEqual(withoutFds(before))
    expect(fdsLeft(after, before)).toEqual([])
  })
}

/** What closes connections closes them a moment later: an account is taken when the next ones say the same. */
async function settled<T>(take: () => T | Promise<T>): Promise<T> {
  let last = await take()
  let same = 0
  await until(async () => {
    const next = await take()
    same = isDeepStrictEqual(next, last) ? same + 1 : 0
    last = next
    return same === 3
  }, 'nothing changes before the test')
  return last
}

const withoutFds = ({ brokerFds: _, ownFds: __, ...rest }: Account) => rest

const fdsLeft = (after: Account, before: Account) => [
  ...beyond(after.brokerFds, before.brokerFds),
  ...beyond(after.ownFds, before.ownFds),
]

/** Those of `after` that `before` has not, or has fewer of. One that was closing before is missed by nobody. */
function beyond(after: string[], before: string[]): string[] {
  const known = [...before]
  return after.filter(target => {
    const at = known.indexOf(target)
    if (at >= 0) known.splice(at, 1)
    return at < 0
  })
}

/** An administrator releases what is left, holders or not, and waits until the memory is free. */
export async function releaseEverything(broker: TestBroker): Promise<void> {
  const client = await connected(broker)
  for (;;) {
    const { allocations } = await client.call('ListAllocations', {})
    if (allocations.length === 0) break
    for (const { name } of allocations) await client.call('Release', { name, graceMs: 0 })
  }
  client.close()
}

/** Connections of attackers that have just ended fill the backlog until the broker has accepted them. */
async function connected(broker: TestBroker): Promise<TestClient> {
  let client: TestClient | undefined
  await until(() => {
    try {
      client = broker.client()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
    return client !== undefined
  }, 'the broker has room in its backlog')
  return client!
}

async function account(broker: TestBroker): Promise<Account> {
  const client = broker.client()
  const { ranges } = await client.call('ListRanges', {})
  const { allocations, mappings, retired, usage, clients } = await client.call('GetStatus', {})
  const seen: Account = {
    brokerFds: broker.openFds(),
    ownFds: ownFds(),
    freeBytes: ranges.reduce((sum, range) => sum + range.freeBytes, 0),
    allocations,
    mappings,
    retired,
    usage,
    clients,
  }
  client.close()
  await client.closed
  return seen
}

/** This process' descriptors when nothing is closing any more, for sameFds(). */
export const settledFds = () => settled(ownFds)

/** Demands that this process has no descriptors but those it had: in the end, as closing takes a moment. */
export async function sameFds(before: string[]): Promise<void> {
  let after = before
  await until(() => {
    after = ownFds()
    return beyond(after, before).length === 0
  }, 'the descriptors are as before').catch(() => expect(beyond(after, before)).toEqual([]))
}

/** What this process' descriptors point at, without the numbers that differ each time. */
export function ownFds(): string[] {
  return readdirSync('/proc/self/fd')
    .map(fd => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/g, 'N')
      } catch {
        return undefined
      }
    })
    .filter(target => target !== undefined && target !== '/proc/N/fd')
    .map(String)
    .sort()
}
