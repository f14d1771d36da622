/**
 * Proves that work which grows with what somebody has is done in slices: while thousands of allocations are claimed, lose
 * their holder, pass to its successor, or are thawed, others are answered in between, and nobody sees it half done.
 */
import type { BrokerMethods } from '../../protocol/generated/broker'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'

const page = 4096
const count = 3000
let broker: TestBroker

beforeAll(async () => {
  const config =
    '[[range]]\nname = "default"\nsource = "memfd"\nbytes = "64MiB"\ntable_bytes = "64MiB"\n[[owner]]\nuid = 0\n'
  broker = await TestBroker.start({ config, logLevel: 'info' })
})
afterAll(async () => {
  await OtherProcess.killAll()
  await broker.dispose()
})

/** What another client is answered while the work goes on. */
async function answersDuring(work: () => Promise<unknown>): Promise<BrokerMethods['GetStatus']['out'][]> {
  const client = broker.client()
  await client.call('GetStatus', {})
  const answers: BrokerMethods['GetStatus']['out'][] = []
  let done = false
  const working = work().finally(() => {
    done = true
  })
  while (!done) {
    answers.push(await client.call('GetStatus', {}))
  }
  await working
  client.close()
  return answers
}

const allocateAll = (other: OtherProcess) =>
  other.run(
    async ({ client }, [count, page]) => {
      for (let index = 0; index < count; index++)
        await client.call('Allocate', { name: `many/${index}`, bytes: page })
    },
    [count, page] as const,
  )

test('what a process held can be claimed by another, all of it, from the moment that it is gone', async () => {
  const first = await OtherProcess.start(broker.socket)
  await allocateAll(first)
  const events: string[] = []
  const watching = broker.client().stream('Watch', {})
  while (!(await watching.next()).value!.snapshotEnd);
  void (async () => {
    for await (const { event } of watching) if (event) events.push(`${event.kind} ${event.allocation}`)
  })().catch(() => {})
  await first.kill()
  await until(() => events.some(event => event.startsWith('dormant')), 'its end is noticed')
  const second = await OtherProcess.start(broker.socket)
  // In the reverse order of that in which it is noted.
  expect(await second.refusal('Claim', { name: `many/${count - 1}` })).toBeUndefined()
  const outcomes = second.run(async ({ client }) => {
    const outcomes: Record<string, number> = {}
    for await (const { outcome } of client.stream('Claim', { prefix: 'many/' }))
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    return outcomes
  })
  const answers = await answersDuring(() => outcomes)
  expect(await outcomes).toEqual({ claimed: count })
  // Somebody was answered when some were claimed and others not yet.
  expect(answers.some(({ unclaimed }) => unclaimed > 0 && unclaimed < count - 1)).toBe(true)
  await until(async () => (await broker.ask('GetStatus', {})).unclaimed === 0, 'all are claimed')
})

test('a page of a list is found without looking at all there is', async () => {
  const client = broker.client()
  let pages = 0
  const names: string[] = []
  let after: number | undefined
  do {
    const { allocations, next } = await client.call('ListAllocations', {
      prefix: 'many/29',
      limit: 50,
      ...(after !== undefined && { after }),
    })
    names.push(...allocations.map(({ name }) => name))
    pages++
    after = next ?? undefined
  } while (after !== undefined)
  expect(names).toEqual(
    Array.from({ length: count }, (_, index) => `many/${index}`).filter(name => name.startsWith('many/29')),
  )
  // 111 have the prefix. A page ends with 50 of them, or with 512 that it has looked at.
  expect(pages).toBe(7)
})

test('thousands of digests end while others are answered, and the freeze ends last', async () => {
  const client = broker.client()
  for await (const _ of client.stream('Freeze', { digests: true }));
  const other = broker.client()
  const thawed = Promise.all([client.call('Thaw', {}), other.call('Thaw', {})])
  const answers = await answersDuring(() => thawed)
  expect(answers.length).toBeGreaterThan(3)
  expect((await client.call('GetStatus', {})).frozen ?? null).toBeNull()
  const verdicts = new Set<string>()
  for await (const { outcome, detail } of client.stream('Verify', { prefix: 'many/299' }))
    if (outcome === 'verified') verdicts.add(detail!)
  expect([...verdicts]).toEqual(['it has no digest'])
})

test('what a process held passes to its successor in slices, and whole to who claims in between', async () => {
  const [allocations, layouts] = [300, 20]
  const { mappings: before } = await broker.ask('GetStatus', {})
  const first = await OtherProcess.start(broker.socket)
  await first.run(
    async ({ client }, [allocations, layouts, page]) => {
      for (let index = 0; index < allocations; index++) {
        await client.call('Allocate', { name: `over/${index}`, bytes: page })
        for (let layout = 0; layout < layouts; layout++)
          for (const fd of (await client.call('CreateMapping', { name: `over/${index}` })).fds)
            client.closeFd(fd)
      }
    },
    [allocations, layouts, page] as const,
  )
  const second = await OtherProcess.start(broker.socket)
  const names = Array.from({ length: allocations }, (_, index) => `over/${index}`)
  await second.run(async ({ client }, names) => {
    for (const name of names)
      for (const fd of (await client.call('Claim', { name, takeOver: true })).fds) client.closeFd(fd)
  }, names)
  const [head, last] = [names[0]!, names.at(-1)!]
  const client = broker.client()
  const holderOf = async (name: string) => (await client.call('GetAllocation', { name })).allocation.holderPid
  const killed = first.kill()
  while ((await holderOf(head)) !== second.pid);
  // Somebody was answered when one had passed and another not yet.
  expect(await holderOf(last)).toBeNull()
  const claimed = second.run(async ({ client }, name) => (await client.call('Claim', { name })).grants, last)
  // All layouts are its own already.
  expect(await claimed).toEqual([])
  const { allocation } = await client.call('GetAllocation', { name: last })
  expect(allocation).toMatchObject({ holderPid: second.pid, successorPid: null })
  await killed
  for (const name of names)
    await until(async () => (await holderOf(name)) === second.pid, `${name} has passed`)
  await until(
    async () => (await broker.ask('GetStatus', {})).mappings === before + allocations * layouts,
    'the former layouts are gone',
  )
  client.close()
  await second.kill()
})
