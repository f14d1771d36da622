/**
 * Proves that a digest is of what an allocation held when the broker was frozen, that a verdict never says more than was
 * compared, and that reading memory keeps nobody from anything.
 */
import { chmodSync, closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import { native, Window } from '../../native'
import type { VerifyOut } from '../../protocol/generated/broker'
import { readTable } from '../../protocol/table'
import { ctl } from '../client/support/ctl'
import { anotherBoot } from '../support/another-boot'
import { sameFds, settledFds } from '../support/leaks-nothing'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { TestBroker, type TestClient, until } from '../support/test-broker'

const page = 4096
const MiB = 2 ** 20
let broker: TestBroker
let fdsBefore: string[]

beforeEach(async () => {
  fdsBefore = await settledFds()
  broker = await TestBroker.start({ bytes: 1024 * MiB })
})
afterEach(async () => {
  await broker.dispose()
  await sameFds(fdsBefore)
})

/** Filled through a mapping that is then given back. */
async function allocateFilled(
  client: TestClient,
  name: string,
  bytes: number,
  byte: number,
): Promise<number> {
  const { allocation } = await client.call('Allocate', { name, bytes })
  const { grant, fds } = await client.call('CreateMapping', { name })
  const window = new Window(fds[0]!, 0, bytes, true)
  Buffer.from(window.buffer).fill(byte)
  window.revoke()
  client.closeFd(fds[0]!)
  await client.call('RevokeMapping', { mapping: grant.mapping.id })
  return allocation.id
}

async function freezeWithDigests(client: TestClient): Promise<void> {
  const { outcome, digestedBytes, totalBytes } = await client.call('Freeze', { digests: true })
  expect([outcome, digestedBytes]).toEqual(['frozen', totalBytes])
}

async function verdicts(client: TestClient, prefix?: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const out of (await verifyAll(client, prefix)).filter(({ outcome }) => outcome === 'verified'))
    found[out.name!] = out.verdict!
  return found
}

async function verifyAll(client: TestClient, prefix?: string): Promise<VerifyOut[]> {
  const replies: VerifyOut[] = []
  const parameters = prefix === undefined ? {} : { prefix }
  for await (const { fds, ...out } of client.stream('Verify', parameters)) replies.push(out)
  return replies
}

function tableOf(running: TestBroker) {
  return readTable(readFileSync(path.join(running.directory, 'table'))).state
}

const fileOf = (id: number) => path.join(broker.directory, `alloc-${id}`)

function change(id: number, offset: number): void {
  const fd = openSync(fileOf(id), 'r+')
  writeSync(fd, Buffer.from([0xff]), 0, 1, offset)
  closeSync(fd)
}

if (needsRoot('verification in another boot'))
  test('after another boot what is the same is intact, what is not is changed, what nobody could compare is unverified', async () => {
    const client = broker.client()
    const same = await allocateFilled(client, 'vm/same', 3 * MiB + page, 1)
    const other = await allocateFilled(client, 'vm/other', 2 * MiB, 2)
    await freezeWithDigests(client)
    expect(tableOf(broker).allocations.get(same)!.digest).toBe(
      native.blake3(Buffer.alloc(3 * MiB + page, 1)).toString('hex'),
    )
    await broker.kill()
    change(other, 2 * MiB - 1)
    await broker.start(anotherBoot(broker.folder))

    const next = broker.client()
    await next.call('Allocate', { name: 'vm/new', bytes: page })
    const replies = await verifyAll(next, 'vm/')
    const done = replies.filter(({ outcome }) => outcome === 'verified')
    expect(done.map(({ name, verdict }) => [name, verdict])).toEqual([
      ['vm/same', 'intact'],
      ['vm/other', 'changed'],
      ['vm/new', 'unverified'],
    ])
    expect(done.at(-1)).toMatchObject({ verifiedBytes: 5 * MiB + 2 * page, totalBytes: 5 * MiB + 2 * page })
    expect(done.at(-1)!.detail).toMatch(/no digest/)
    const { allocation } = await next.call('GetAllocation', { name: 'vm/same' })
    expect(allocation.verdict).toBe('intact')
    // The verdict is the table's: it outlives this broker, but not this boot.
    await broker.kill()
    await broker.start(anotherBoot(broker.folder))
    expect((await broker.ask('GetAllocation', { name: 'vm/same' })).allocation.verdict).toBe('intact')
    await broker.kill()
    await broker.start(anotherBoot(broker.folder, '1'))
    const third = broker.client()
    expect((await third.call('GetAllocation', { name: 'vm/same' })).allocation.verdict).toBe('unverified')
    expect((await third.call('GetAllocation', { name: 'vm/other' })).allocation.verdict).toBe('changed')
    // A digest lasts until somebody may write.
    expect(await verdicts(third, 'vm/same')).toEqual({ 'vm/same': 'intact' })
    await third.call('Claim', { name: 'vm/same' })
    expect(await verdicts(third, 'vm/same')).toEqual({ 'vm/same': 'intact' })
    await third.call('CreateMapping', { name: 'vm/same', access: 'read' })
    expect(await verdicts(third, 'vm/same')).toEqual({ 'vm/same': 'intact' })
    await third.call('CreateMapping', { name: 'vm/same' })
    expect(tableOf(broker).allocations.get(same)!.digest).toBeNull()
    expect(await verdicts(third, 'vm/same')).toEqual({ 'vm/same': 'unverified' })
  })

if (needsRoot('claiming in another boot'))
  test('a claim that gives a writable descriptor, growing, shrinking and discarding end a digest; a claim of what is read only does not', async () => {
    const client = broker.client()
    for (const [name, access] of [
      ['written', 'readWrite'],
      ['read', 'read'],
      ['grown', undefined],
      ['shrunk', undefined],
      ['discarded', undefined],
    ] as const) {
      await client.call('Allocate', { name, bytes: MiB })
      if (access !== undefined) await client.call('CreateMapping', { name, access })
    }
    await freezeWithDigests(client)
    await broker.kill()
    await broker.start(anotherBoot(broker.folder))
    const next = broker.client()
    // Who only asks whether it can be claimed ends nothing.
    const all = ['written', 'read', 'grown', 'shrunk', 'discarded']
    for (const name of all) {
      const asked = await ctl(broker.socket, 'claim', name, '--json')
      expect(JSON.parse(asked.stdout)).toMatchObject([{ name, outcome: 'claimable' }])
      expect((await next.call('Claim', { name, dryRun: true })).outcome).toBe('claimable')
    }
    expect(await verdicts(next)).toEqual(Object.fromEntries(all.map(name => [name, 'intact'])))
    const { allocation, mappings } = await next.call('GetAllocation', { name: 'written' })
    expect([allocation.holderPid ?? null, mappings[0]!.state]).toEqual([null, 'dormant'])
    for (const name of all) expect((await next.call('Claim', { name })).outcome).toBe('claimed')
    await next.call('Grow', { name: 'grown', bytes: 2 * MiB })
    await next.call('Shrink', { name: 'shrunk', bytes: MiB / 2 })
    await next.call('Discard', { name: 'discarded', pieces: [{ offset: 0, length: page }] })
    const ended = Object.fromEntries(all.map(name => [name, 'unverified']))
    expect(await verdicts(next)).toEqual({ ...ended, read: 'intact' })
  })

test('discarded memory has the digest of zeros', async () => {
  const client = broker.client()
  const full = await allocateFilled(client, 'full', MiB, 1)
  await client.call('Discard', { name: 'full', pieces: [{ offset: 0, length: MiB }] })
  await freezeWithDigests(client)
  expect(tableOf(broker).allocations.get(full)!.digest).toBe(native.blake3(Buffer.alloc(MiB)).toString('hex'))
})

test('in the same boot a frozen broker verifies too, and thawing ends all digests', async () => {
  // Proves that the broker itself may record verdicts while it refuses every client's change.
  const client = broker.client()
  const id = await allocateFilled(client, 'a', MiB, 1)
  await freezeWithDigests(client)
  expect(await verdicts(client)).toEqual({ a: 'intact' })
  expect(tableOf(broker).allocations.get(id)!.verdict).toBe('intact')
  change(id, 5)
  expect(await verdicts(client)).toEqual({ a: 'changed' })
  await client.call('Thaw', {})
  expect(tableOf(broker).allocations.get(id)!.digest).toBeNull()
  // What was seen to be changed is not forgotten because nothing can be compared any more.
  expect(await verdicts(client)).toEqual({ a: 'changed' })
  await freezeWithDigests(client)
  expect((await client.call('GetAllocation', { name: 'a' })).allocation.verdict).toBe('unverified')
  expect(await verdicts(client)).toEqual({ a: 'intact' })
})

test('thawing removes many digests with few commits, whatever their records have', async () => {
  const client = broker.client()
  const metadata = { text: 'x'.repeat(3000) }
  const many = Array.from({ length: 200 }, (_, index) => ({
    ...{ name: `vm-${index}`, bytes: page },
    ...(index % 3 === 0 && { metadata }),
  }))
  await Promise.all(many.map(one => client.call('Allocate', one)))
  await client.call('Release', { name: 'vm-50' })
  await freezeWithDigests(client)
  const digests = () => [...tableOf(broker).allocations.values()].filter(({ digest }) => digest !== null)
  expect(digests()).toHaveLength(many.length - 1)
  const sequence = async () => (await client.call('ListRanges', {})).ranges[0]!.table.sequence
  const before = await sequence()
  await client.call('Thaw', {})
  expect(digests()).toEqual([])
  expect((await sequence()) - before).toBeLessThan(many.length / 4)
  expect((await client.call('GetAllocation', { name: 'vm-0' })).allocation.metadata).toEqual(metadata)
  await broker.kill()
  await broker.start()
  expect(await verdicts(broker.client(), 'vm-3')).toMatchObject({ 'vm-30': 'unverified' })
})

test('who watches hears of each verdict', async () => {
  const client = broker.client()
  await allocateFilled(client, 'a', page, 1)
  await freezeWithDigests(client)
  const watcher = broker.client()
  const events = watcher.stream('Watch', {})
  await events.next()
  await verdicts(client)
  for await (const { event } of events) {
    if (event?.kind !== 'verified') continue
    expect(event).toMatchObject({ allocation: 'a', bytes: page, detail: 'intact' })
    break
  }
})

test('verifying names what it needs, and nothing is a good answer', async () => {
  const client = broker.client()
  expect(await client.call('Verify', {})).toMatchObject({ outcome: 'nothing', totalBytes: 0 })
  await client.call('Allocate', { name: 'a/1', bytes: page })
  expect(await client.call('Verify', { prefix: 'a/1' })).toMatchObject({ name: 'a/1', verdict: 'unverified' })
  await client.call('Allocate', { name: 'a/2', bytes: page })
  await expect(client.call('Verify', {})).rejects.toMatchObject({
    error: 'io.membroker.Broker.InvalidArgument',
    parameters: { parameter: 'prefix' },
  })
  expect(await verdicts(client, 'a/2')).toEqual({ 'a/2': 'unverified' })
  expect(await verifyAll(client, 'b')).toMatchObject([{ outcome: 'nothing' }])
})

/** So sparse that there is no memory in it, so large that reading it takes a while. */
async function allocateLarge(client: TestClient, name: string): Promise<number> {
  return (await client.call('Allocate', { name, bytes: 800 * MiB })).allocation.id
}

/** Goes on calling until a condition is met in the middle of another call; bounded by the test's own limit. */
async function firstReply(replies: AsyncIterableIterator<unknown>): Promise<void> {
  expect((await replies.next()).value).toMatchObject({ outcome: 'pending' })
}

test('the freeze stands from the first reply on; a second one is told that it is busy', async () => {
  const client = broker.client()
  await allocateLarge(client, 'large')
  const replies = client.stream('Freeze', { digests: true, reason: 'kexec' })
  await firstReply(replies)
  const other = broker.client()
  expect((await other.call('GetStatus', {})).frozen).toBe('kexec')
  const second = other.call('Freeze', { digests: true }).then(
    () => 'frozen',
    error => error.error,
  )
  const plain = broker
    .client()
    .call('Freeze', {})
    .then(
      () => 'frozen',
      error => error.error,
    )
  const rest: string[] = []
  for await (const { outcome } of replies) rest.push(outcome)
  expect(rest.at(-1)).toBe('frozen')
  expect(await plain).toBe('io.membroker.Broker.Frozen')
  // It came while the first was at work, or after it and then did the same again.
  expect(['io.membroker.Broker.Busy', 'frozen']).toContain(await second)
})

test('who goes away in the middle leaves the freeze, and the broker free to begin again', async () => {
  const client = broker.client()
  await allocateLarge(client, 'large')
  const gone = broker.client()
  await firstReply(gone.stream('Freeze', { digests: true }))
  gone.close()
  expect((await client.call('GetStatus', {})).frozen).toBe('live update')
  await until(async () => {
    try {
      await freezeWithDigests(client)
      return true
    } catch (error) {
      expect(error).toMatchObject({ error: 'io.membroker.Broker.Busy' })
      return false
    }
  }, 'the digests of who went away are given up')
  expect(await verdicts(client)).toEqual({ large: 'intact' })
})

test('thawing in the middle ends the digests, and none is left', async () => {
  const client = broker.client()
  const ids = [
    await allocateLarge(client, 'large'),
    (await client.call('Allocate', { name: 'b', bytes: page })).allocation.id,
  ]
  const other = broker.client()
  const replies = other.stream('Freeze', { digests: true })
  await firstReply(replies)
  await client.call('Thaw', {})
  const end = await (async () => {
    for await (const { outcome } of replies) if (outcome === 'frozen') return 'frozen'
    return 'nothing'
  })().catch(error => error.error)
  // The digests may have been complete just before.
  expect(['io.membroker.Broker.Busy', 'frozen']).toContain(end)
  for (const id of ids) expect(tableOf(broker).allocations.get(id)!.digest).toBeNull()
  await client.call('Allocate', { name: 'after', bytes: page })
})

test('a broker killed in the middle leaves a freeze with what digests there are, and they are right', async () => {
  const client = broker.client()
  const small = await allocateFilled(client, 'small', MiB, 7)
  await allocateLarge(client, 'large')
  const replies = client.stream('Freeze', { digests: true })
  await firstReply(replies)
  await until(
    () => tableOf(broker).allocations.get(small)!.digest !== null,
    'the first digest is in the table',
  )
  await broker.restart()
  // The digests may have been complete just before.
  await (async () => {
    for await (const _ of replies);
  })().catch(() => {})
  const next = broker.client()
  expect((await next.call('GetStatus', {})).frozen).toBe('live update')
  expect(await verdicts(next, 'small')).toEqual({ small: 'intact' })
  expect(['unverified', 'intact']).toContain((await verdicts(next, 'large')).large)
})

if (needsRoot('a release in another boot'))
  test('memory that is released while it is read is released at once, and its verdict is unverified', async () => {
    // Proves that the broker's own reading is never taken for a holder: the proof waits for it to end.
    const client = broker.client()
    await allocateLarge(client, 'large')
    await allocateFilled(client, 'small', MiB, 1)
    await freezeWithDigests(client)
    await broker.kill()
    await broker.start(anotherBoot(broker.folder))
    const next = broker.client()
    const replies = next.stream('Verify', {})
    const releasing = broker.client().call('Release', { name: 'large' })
    const found: Record<string, string> = {}
    for await (const { outcome, name, verdict } of replies)
      if (outcome === 'verified') found[name!] = verdict!
    expect((await releasing).outcome).toBe('released')
    expect(found.small).toBe('intact')
    // It had been read to the end before the release came, or not.
    expect([undefined, 'unverified', 'intact']).toContain(found.large)
    await until(() => !broker.openFds().some(target => target.includes('alloc-')), 'the memory is closed')
  })

if (needsRoot('a caller that is no administrator'))
  test('only administrators verify, take digests and list bad memory', async () => {
    const range = (await broker.ask('ListRanges', {})).ranges[0]!.name
    chmodSync(broker.folder, 0o755)
    const stranger = await OtherProcess.start(broker.socket, { uid: 4321 })
    for (const [method, parameters] of [
      ['Verify', {}],
      ['Freeze', { digests: true }],
      ['ListPoisoned', {}],
      ['MarkPoisoned', { range, offset: 0, length: page }],
    ] as const) {
      const call = { method, parameters }
      const answer = stranger.run(
        ({ client }, { method, parameters }) => client.call(method, parameters),
        call,
      )
      await expect(answer).rejects.toMatchObject({ error: 'io.membroker.Broker.PermissionDenied' })
    }
    await stranger.kill()
  })

test('memfd ranges have digests too, and sparse memory stays sparse', async () => {
  const memfd = await TestBroker.start({ config: `[[range]]\nname = "m"\nsource = "memfd"\nbytes = "64M"\n` })
  try {
    const client = memfd.client()
    await client.call('Allocate', { name: 'a', bytes: 32 * MiB })
    await freezeWithDigests(client)
    expect(await verdicts(client)).toEqual({ a: 'intact' })
    expect((await client.call('GetStatistics', {})).digestedBytes).toBe(64 * MiB)
  } finally {
    await memfd.dispose()
  }
})

test('bad memory of a file range: the verdict says it, nothing is taken from the range, and its owner hears of it', async () => {
  const client = broker.client()
  await client.call('Allocate', { name: 'a', bytes: MiB })
  const watcher = broker.client()
  const events = watcher.stream('Watch', {})
  await events.next()
  await freezeWithDigests(client)
  const { poisoned } = await client.call('MarkPoisoned', { name: 'a', offset: 5000, length: 10 })
  expect(poisoned).toEqual([])
  for await (const { event } of events) {
    if (event?.kind !== 'poisoned') continue
    expect(event).toMatchObject({ allocation: 'a', offset: page, bytes: page })
    break
  }
  expect((await client.call('ListPoisoned', {})).poisoned).toEqual([])
  expect(await verdicts(client)).toEqual({ a: 'poisoned' })
  await client.call('Thaw', {})
  // It wins over what any comparison says, until the memory is released.
  await freezeWithDigests(client)
  expect(await verdicts(client)).toEqual({ a: 'poisoned' })
  await client.call('Thaw', {})
  const before = await broker.freeBytes()
  await client.call('Release', { name: 'a' })
  expect(await broker.freeBytes()).toBe(before + MiB)

  for (const [parameters, parameter] of [
    [{ name: 'b', offset: -1, length: page }, 'offset'],
    [{ name: 'b', offset: MiB, length: page }, 'offset'],
    [{ name: 'b', offset: 0, length: 0 }, 'length'],
    [{ name: 'b', offset: page, length: MiB }, 'length'],
    [{ name: 'b', range: 'main', offset: 0, length: page }, 'range'],
    [{ offset: 0, length: page }, 'name'],
    [{ range: (await client.call('ListRanges', {})).ranges[0]!.name, offset: 0, length: page }, 'range'],
  ] as const) {
    await client.call('Allocate', { name: 'b', bytes: MiB }).catch(() => {})
    await expect(client.call('MarkPoisoned', parameters)).rejects.toMatchObject({
      error: 'io.membroker.Broker.InvalidArgument',
      parameters: { parameter },
    })
  }
})
