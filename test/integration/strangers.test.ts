/**
 * Proves that uids without an [[owner]], alone or together, alive or gone, can't fill the table for those who have one, that
 * what others map counts for the owner too, and that the owner gets that room back while it goes on.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { sharedMappingsPerAllocationMax } from '../../protocol/wire/limits'
import { strangerMappingsMax } from '../../src/broker/config/config'
import { memoryOf } from '../program/attacker'
import { againstTenants, neighbour, tenant } from '../program/tenants'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import type { TestBroker } from '../support/test-broker'

const page = 4096
const strangers = [65001, 65002, 65003, 65004, 65005, 65006]
let broker: TestBroker
let rooms = 0

const against = againstTenants(started => {
  broker = started.broker
})
const as = (uid: number) => OtherProcess.start(broker.socket, { uid })
const test = needsRoot('attacks by clients of other uids') ? it : it.skip

/** Maps each of them with as much metadata as there may be until it is refused, then with less; says why, of each. */
function mapAll(by: OtherProcess, names: readonly string[]): Promise<{ mapped: number; why: string[] }> {
  return by.run(async ({ client }, names) => {
    const why: string[] = []
    let mapped = 0
    for (const name of names)
      for (let length = 4000; length >= 1; )
        try {
          const { fds } = await client.call('CreateMapping', { name, metadata: { text: 'x'.repeat(length) } })
          for (const fd of fds) client.closeFd(fd)
          mapped++
        } catch (error) {
          const { parameters } = error as { parameters: { limit: unknown; resource?: string; uid?: number } }
          const { limit, resource, uid } = parameters
          why.push(resource === undefined ? String(limit) : `${resource} of ${uid}`)
          if (resource !== undefined || String(limit).includes('Mappings')) break
          length >>= 2
        }
    return { mapped, why }
  }, names)
}

async function shareWith(
  owner: OtherProcess,
  uids: readonly number[],
  names: readonly string[],
): Promise<void> {
  await owner.run(
    async ({ client }, { uids, names }) => {
      for (const name of names) {
        await client.call('Allocate', { name, bytes: 4096 })
        for (const uid of uids) await client.call('Share', { name, uid, access: 'readWrite' })
      }
    },
    { uids, names },
  )
}

async function hasRoom(uid: number): Promise<void> {
  const client = await as(uid)
  const name = `room/${uid}/${++rooms}`
  const metadata = { text: 'x'.repeat(2000) }
  expect(await client.refusal('Allocate', { name, bytes: page, metadata })).toBeUndefined()
  expect(await client.refusal('CreateMapping', { name, metadata })).toBeUndefined()
  await client.kill()
}

const usageOf = async (uid: number) =>
  (await broker.ask('GetStatus', {})).usage.find(usage => usage.uid === uid)?.mappings ?? 0

describe('a table has room for owners', () => {
  const small = { range: 'table_bytes = "256KiB"' }
  const names = ['lent/1', 'lent/2', 'lent/3']

  test.each([
    ['a tenant', tenant],
    ['an administrator', 0],
  ])('when all with whom %s shares map what they can, and are gone', (_, uid) =>
    against(small, async () => {
      await shareWith(await as(uid), strangers, names)
      const reasons = new Set<string>()
      for (const stranger of strangers) {
        const client = await as(stranger)
        for (const why of (await mapAll(client, names)).why) reasons.add(why)
        await client.kill()
      }
      expect([...reasons]).toContain(uid === 0 ? 'tableBytesWithoutOwner' : 'tableBytesOfOwner')
      await hasRoom(neighbour)
      broker.closeClients()
      await broker.restart()
      await hasRoom(neighbour)
    })(),
  )

  test(
    'when uids that have only [defaults] fill it together',
    against({ ...small, rest: '[defaults]\nbytes_max = "64MiB"\n' }, async () => {
      for (const stranger of strangers) {
        const client = await as(stranger)
        const own = [`own/${stranger}`]
        if ((await client.refusal('Allocate', { name: own[0]!, bytes: page })) === undefined)
          await mapAll(client, own)
        await client.kill()
      }
      await hasRoom(tenant)
      await hasRoom(neighbour)
    }),
  )
})

test(
  'a mapping of a share counts for its owner, once, also after a restart and a reload, and not when it is over',
  against({ owner: 'mappings_max = 4' }, async () => {
    const owner = await as(tenant)
    await memoryOf(owner, 'lent', page)
    await owner.run(
      async ({ client }, uids) => {
        for (const uid of uids) await client.call('Share', { name: 'lent', uid, access: 'readWrite' })
      },
      [neighbour, strangers[0]!],
    )
    const [borrower, stranger] = [await as(neighbour), await as(strangers[0]!)]
    expect(await borrower.refusal('CreateMapping', { name: 'lent' })).toBeUndefined()
    const mappings = await stranger.run(async ({ client }) => [
      (await client.call('CreateMapping', { name: 'lent' })).grant.mapping.id,
      (await client.call('CreateMapping', { name: 'lent' })).grant.mapping.id,
    ])
    const used = async () => Promise.all([tenant, neighbour, strangers[0]!].map(usageOf))
    expect(await used()).toEqual([4, 1, 2])
    // Whose quota it is: the borrower has used one of its four.
    const asked = borrower.run(({ client }) => client.call('CreateMapping', { name: 'lent' }).then(() => {}))
    await expect(asked).rejects.toMatchObject({
      error: 'io.membroker.Broker.QuotaExceeded',
      parameters: { uid: tenant, resource: 'mappings', limit: 4, used: 4 },
    })
    broker.closeClients()
    await broker.restart()
    expect(await used()).toEqual([4, 1, 2])
    // What is there stays under a smaller limit.
    const text = readFileSync(broker.configFile, 'utf8')
    writeFileSync(broker.configFile, text.replaceAll('mappings_max = 4', 'mappings_max = 3'))
    await broker.client().call('Reload', {})
    expect(await used()).toEqual([4, 1, 2])

    // Its layouts stay when it is gone; the owner ends them, and its own memory goes on.
    await stranger.kill()
    for (const mapping of mappings) {
      const { outcome } = await owner.run(async ({ connect }, mapping) => {
        const client = connect()
        const done = await client.call('RevokeMapping', { mapping, graceMs: 0 })
        client.close()
        return { outcome: done.outcome }
      }, mapping)
      expect(outcome).toBe('revoked')
    }
    expect(await used()).toEqual([2, 1, 0])
  }),
)

test(
  'a stranger has few mappings of all that is shared with it, and leaves the owner places',
  against({ range: 'table_bytes = "16MiB"' }, async () => {
    const names = ['lent/1', 'lent/2']
    await shareWith(await as(tenant), strangers, names)
    const first = await mapAll(await as(strangers[0]!), names)
    expect(first.mapped).toBe(strangerMappingsMax)
    expect(first.why[1]).toBe(`mappings of ${strangers[0]}`)
    const second = await mapAll(await as(strangers[1]!), names)
    expect(second.mapped).toBe(sharedMappingsPerAllocationMax)
    expect(second.why[0]).toBe('sharedMappingsPerAllocation')
  }),
)
