import { readdirSync, readlinkSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { OtherProcess } from './other-process'
import { type TestBroker, until } from './test-broker'

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
  const before = await account(broker)
  await body().finally(() => OtherProcess.killAll())
  broker.closeClients()
  await releaseEverything(broker)
  let after = before
  await until(async () => {
    after = await account(broker)
    return isDeepStrictEqual(after, before)
  }, 'everything is back').catch(() => expect(after).toEqual(before))
}

/** An administrator releases what is left, holders or not, and waits until the memory is free. */
export async function releaseEverything(broker: TestBroker): Promise<void> {
  const client = broker.client()
  for (;;) {
    const { allocations } = await client.call('ListAllocations', {})
    if (allocations.length === 0) break
    for (const { name } of allocations) await client.call('Release', { name, graceMs: 0 })
  }
  client.close()
}

async function account(broker: TestBroker): Promise<Account> {
  const client = broker.client()
  const { ranges } = await client.call('ListRanges', {})
  const { allocations, mappings, retired, usage, clients } = await client.call('GetStatus', {})
  const seen = {
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
  return seen
}

/** Demands that this process has the descriptors it had, for suites whose brokers come and go. */
export async function sameFds(before: string[]): Promise<void> {
  let after = before
  await until(() => {
    after = ownFds()
    return isDeepStrictEqual(after, before)
  }, 'the descriptors are as before').catch(() => expect(after).toEqual(before))
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
