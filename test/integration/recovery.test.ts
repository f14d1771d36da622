/**
 * Proves that what a broker answered outlives it: after SIGKILL the next one knows every allocation, mapping, holder,
 * freeze and piece of retired memory, gives each back to its owner once, and trusts nothing that does not add up.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { Window } from '../../native'
import { anotherBoot } from '../support/another-boot'
import { sameFds, settledFds } from '../support/leaks-nothing'
import { needsRoot } from '../support/needs-root'
import { TestBroker, TestClient, until } from '../support/test-broker'

const page = 4096
const MiB = 2 ** 20
let broker: TestBroker
let fdsBefore: string[]

beforeEach(async () => {
  fdsBefore = await settledFds()
  broker = await TestBroker.start({ bytes: 64 * MiB })
})
afterEach(async () => {
  await broker.dispose()
  await sameFds(fdsBefore)
})

test('a mapping goes on working while the broker is dead, and is known to the next one', async () => {
  const client = broker.client()
  await client.call('Allocate', { name: 'vm0/ram', bytes: MiB, metadata: { cpus: 2 } })
  const { grant, fds } = await client.call('CreateMapping', { name: 'vm0/ram', guestAddress: 65536 })
  const window = new Window(fds[0]!, 0, MiB, true)
  const bytes = Buffer.from(window.buffer)
  bytes.fill(1)
  await broker.kill()
  bytes.fill(2)
  await broker.start()

  const again = broker.client()
  const found = await again.call('GetAllocation', { name: 'vm0/ram' })
  expect(found.allocation).toMatchObject({ holderPid: process.pid, metadata: { cpus: 2 }, bytes: MiB })
  expect(found.mappings).toEqual([grant.mapping])
  // The same process is still the holder: it maps more without claiming.
  const second = await again.call('CreateMapping', { name: 'vm0/ram' })
  expect(second.grant.mapping.id).toBeGreaterThan(grant.mapping.id)
  const other = new Window(second.fds[0]!, 0, MiB, false)
  expect(Buffer.from(other.buffer).equals(Buffer.alloc(MiB, 2))).toBe(true)
  for (const mapped of [window, other]) mapped.revoke()
})

/** Another process allocates, maps and fills, then is killed: pid, and its memory by name. */
async function processThatHeld(name: string): Promise<void> {
  const script = `
    const { TestClient } = require(${JSON.stringify(path.join(__dirname, '../../dist/test/support/test-broker.js'))})
    const { Window } = require(${JSON.stringify(path.join(__dirname, '../../dist/native'))})
    const client = new TestClient(process.argv[1])
    client.call('Allocate', { name: process.argv[2], bytes: 65536, metadata: { of: process.argv[2] } })
      .then(() => client.call('CreateMapping', { name: process.argv[2], offset: 4096, length: 8192, guestAddress: 1048576, metadata: { slot: 3 } }))
      .then(({ fds }) => { Buffer.from(new Window(fds[0], 4096, 8192, true).buffer).fill(process.argv[2]); console.log('held') })`
  const child = spawn(process.execPath, ['-e', script, broker.socket, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
}

test.each(['after the client', 'after client and broker'])(
  'an owner gets everything back once, %s died',
  async who => {
    await processThatHeld('vm1/ram')
    if (who === 'after client and broker') await broker.restart()
    const client = broker.client()
    await until(async () => (await client.call('GetStatus', {})).unclaimed === 1, 'the death is noticed')
    await expect(client.call('CreateMapping', { name: 'vm1/ram' })).rejects.toMatchObject({
      error: 'io.membroker.Broker.NotClaimed',
    })
    const claim = await client.call('Claim', { name: 'vm1/ram' })
    expect(claim.outcome).toBe('claimed')
    expect(claim.allocation).toMatchObject({
      name: 'vm1/ram',
      bytes: 65536,
      metadata: { of: 'vm1/ram' },
      holderPid: process.pid,
    })
    expect(claim.grants).toHaveLength(1)
    const [grant] = claim.grants
    expect(grant).toMatchObject({
      fileDescriptor: 0,
      mmapOffset: 4096,
      mapping: {
        offset: 4096,
        length: 8192,
        guestAddress: 1048576,
        metadata: { slot: 3 },
        pid: process.pid,
        state: 'held',
      },
    })
    const window = new Window(claim.fds[0]!, grant!.mmapOffset, 8192, false)
    expect(Buffer.from(window.buffer).equals(Buffer.alloc(8192, 'vm1/ram'))).toBe(true)
    window.revoke()
    // Once: this process holds it now, and a claim by another one is refused.
    const output = await otherProcess(`client.call('Claim', { name: 'vm1/ram' })`)
    expect(output).toMatchObject({
      error: 'io.membroker.Broker.AlreadyClaimed',
      parameters: { pid: process.pid },
    })
  },
)

async function otherProcess(call: string): Promise<{ error?: string; parameters?: object }> {
  const script = `
    const { TestClient } = require(${JSON.stringify(path.join(__dirname, '../../dist/test/support/test-broker.js'))})
    const client = new TestClient(process.argv[1])
    ;${call}.then(reply => console.log(JSON.stringify(reply)), error => console.log(JSON.stringify(error))).then(() => process.exit())`
  const child = spawn(process.execPath, ['-e', script, broker.socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const chunks: Buffer[] = []
  child.stdout.on('data', chunk => chunks.push(chunk))
  await once(child, 'close')
  return JSON.parse(Buffer.concat(chunks).toString())
}

test('claim by prefix gives each allocation in order of id, and reports the ones it cannot', async () => {
  for (const name of ['vm2/ram', 'vm2/state', 'vm3/ram']) await processThatHeld(name)
  const holder = broker.client()
  await holder.call('Allocate', { name: 'vm2/locked', bytes: page, secret: 'token' })
  await broker.restart()
  const child = await otherProcess(`(async () => {
    const replies = []
    for await (const reply of client.stream('Claim', { prefix: 'vm2/' })) replies.push([reply.outcome, reply.allocation.name, reply.fds.length])
    return replies
  })()`)
  expect(child).toEqual([
    ['claimed', 'vm2/ram', 1],
    ['claimed', 'vm2/state', 1],
    ['held', 'vm2/locked', 0],
  ])
  const client = broker.client()
  const replies = []
  for await (const reply of client.stream('Claim', { prefix: 'nobody/' })) replies.push(reply.outcome)
  expect(replies).toEqual(['nothing'])
})

test('a second broker on the same memory or the same socket is refused and disturbs nothing', async () => {
  const second = (args: string[]) => {
    const child = spawn(process.execPath, [broker.arguments()[0]!, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let text = ''
    child.stderr.setEncoding('utf8').on('data', chunk => {
      text += chunk
    })
    return { child, output: () => text }
  }
  const sameSocket = second([
    '--socket',
    broker.socket,
    '--directory',
    `${broker.folder}/other`,
    '--size',
    '64M',
  ])
  const [code] = await once(sameSocket.child, 'close')
  expect(code).toBe(1)
  expect(sameSocket.output()).toContain('another broker listens on')
  const sameMemory = second([
    '--socket',
    `${broker.folder}/second.sock`,
    '--directory',
    broker.directory,
    '--size',
    '64M',
  ])
  await until(() => sameMemory.output().includes('"msg":"ready"'), 'the second broker is up')
  const client = new TestClient(`${broker.folder}/second.sock`)
  const { ranges } = await client.call('ListRanges', {})
  expect(ranges[0]).toMatchObject({
    state: 'readOnly',
    reason: expect.stringContaining('in use by another broker'),
  })
  await expect(client.call('Allocate', { name: 'x', bytes: page })).rejects.toMatchObject({
    error: 'io.membroker.Broker.RangeReadOnly',
  })
  client.close()
  sameMemory.child.kill('SIGTERM')
  expect((await once(sameMemory.child, 'exit'))[0]).toBe(0)
  await broker.client().call('Allocate', { name: 'x', bytes: page })
})

test('a freeze refuses every change, holds over a restart, and ends with thaw', async () => {
  const client = broker.client()
  await client.call('Allocate', { name: 'kept', bytes: page })
  const { grant } = await client.call('CreateMapping', { name: 'kept' })
  await client.call('Freeze', { reason: 'kexec to 6.12' })
  for (let round = 0; round < 2; round++) {
    const frozen = broker.client()
    const mapping = grant.mapping.id
    for (const change of [
      () => frozen.call('Allocate', { name: 'new', bytes: page }),
      () => frozen.call('Grow', { name: 'kept', bytes: 2 * page }),
      () => frozen.call('SetMetadata', { name: 'kept', metadata: {} }),
      () => frozen.call('Share', { name: 'kept', uid: 1, access: 'read' }),
      () => frozen.call('CreateMapping', { name: 'kept' }),
      () => frozen.call('RevokeMapping', { mapping }),
      () => frozen.call('Release', { name: 'kept' }),
      () => frozen.call('Claim', { name: 'kept' }),
      () => frozen.call('Freeze', {}),
    ])
      await expect(change()).rejects.toMatchObject({
        error: 'io.membroker.Broker.Frozen',
        parameters: { reason: 'kexec to 6.12' },
      })
    expect((await frozen.call('GetStatus', {})).frozen).toBe('kexec to 6.12')
    if (round === 0) await broker.restart()
  }
  const client2 = broker.client()
  await client2.call('Thaw', {})
  await client2.call('Allocate', { name: 'new', bytes: page })
  expect((await client2.call('GetStatus', {})).frozen).toBeNull()
})

if (needsRoot('recovery in another boot'))
  test('in another boot nobody holds anything and a freeze is over; memory, layout and metadata are there', async () => {
    const client = broker.client()
    await client.call('Allocate', { name: 'vm0/ram', bytes: MiB, metadata: { cpus: 2 } })
    const { grant, fds } = await client.call('CreateMapping', { name: 'vm0/ram', guestAddress: 4096 })
    const window = new Window(fds[0]!, 0, MiB, true)
    Buffer.from(window.buffer).fill(9)
    window.revoke()
    client.closeFd(fds[0]!)
    await client.call('Freeze', { reason: 'kexec' })
    await broker.kill()
    await broker.start(anotherBoot(broker.folder))
    const next = broker.client()
    expect(await next.call('GetStatus', {})).toMatchObject({ frozen: null, unclaimed: 1 })
    expect((await next.call('ListRanges', {})).ranges).toMatchObject([{ table: { recovery: 'newBoot' } }])
    // The old holder's pid still lives, as a pid of another boot would by chance: it is not the holder.
    const found = await next.call('GetAllocation', { name: 'vm0/ram' })
    expect(found.allocation.holderPid).toBeNull()
    expect(found.mappings).toMatchObject([{ id: grant.mapping.id, state: 'dormant', pid: null }])
    const claim = await next.call('Claim', { name: 'vm0/ram' })
    expect(claim).toMatchObject({ outcome: 'claimed', allocation: { metadata: { cpus: 2 } } })
    expect(claim.grants).toMatchObject([{ mapping: { id: grant.mapping.id, guestAddress: 4096 } }])
    const again = new Window(claim.fds[0]!, 0, MiB, false)
    expect(Buffer.from(again.buffer).equals(Buffer.alloc(MiB, 9))).toBe(true)
    again.revoke()
  })

test('memory in quarantine stays so over a restart, and is freed when its holder goes', async () => {
  const free = await broker.freeBytes()
  const client = broker.client()
  await client.call('Allocate', { name: 'held', bytes: MiB })
  const { fds } = await client.call('CreateMapping', { name: 'held' })
  await client.call('Release', { name: 'held', graceMs: 0 })
  await broker.restart()
  const again = broker.client()
  expect((await again.call('GetStatus', {})).retired).toMatchObject([
    { allocation: 'held', state: 'quarantined', bytes: MiB },
  ])
  expect(await broker.freeBytes()).toBe(free - MiB)
  client.closeFd(fds[0]!)
  await until(async () => (await broker.freeBytes()) === free, 'the memory is free')
})

test('memory that no commit knows of is removed, missing memory makes the range read-only', async () => {
  const client = broker.client()
  await client.call('Allocate', { name: 'real', bytes: page })
  await broker.kill()
  writeFileSync(path.join(broker.directory, 'alloc-999'), 'never committed')
  await broker.start()
  expect(existsSync(path.join(broker.directory, 'alloc-999'))).toBe(false)
  await broker.kill()
  rmSync(path.join(broker.directory, 'alloc-1'))
  await broker.start()
  const { ranges } = await broker.ask('ListRanges', {})
  expect(ranges[0]).toMatchObject({ state: 'readOnly', reason: expect.stringContaining("'real' (alloc-1)") })
  expect((await broker.ask('ListAllocations', {})).allocations).toHaveLength(1)
})

test.each([
  [
    'damaged',
    (table: string) => {
      const fd = openSync(table, 'r+')
      writeSync(fd, Buffer.alloc(8192, 0x5a), 0, 8192, 0)
      closeSync(fd)
    },
    /NotFormatted|Superblock/,
  ],
  ['cut', (table: string) => truncateSync(table, 4096), /./],
  ['missing', (table: string) => rmSync(table), /table (is|are) missing|is missing/],
])('a table that is %s makes the range read-only and is not touched', async (_, spoil, reason) => {
  const client = broker.client()
  await client.call('Allocate', { name: 'precious', bytes: page })
  await broker.kill()
  spoil(path.join(broker.directory, 'table'))
  const before = readdirSync(broker.directory).sort()
  await broker.start()
  const { ranges } = await broker.ask('ListRanges', {})
  expect(ranges[0]).toMatchObject({ state: 'readOnly', reason: expect.stringMatching(reason) })
  await expect(broker.client().call('Allocate', { name: 'new', bytes: page })).rejects.toMatchObject({
    error: 'io.membroker.Broker.RangeReadOnly',
  })
  await broker.kill('SIGTERM')
  expect(readdirSync(broker.directory).sort()).toEqual(before)
})

test('memory that a holder shortens while no broker runs is put back, and the holder is told of', async () => {
  const client = broker.client()
  await client.call('Allocate', { name: 'short', bytes: MiB })
  await client.call('CreateMapping', { name: 'short' })
  await broker.kill()
  const file = path.join(broker.directory, 'alloc-1')
  truncateSync(file, page)
  await broker.start()
  await until(() => statSync(file).size === MiB, 'the file has its size again')
  await until(() => broker.log.includes('tampered'), 'the log says so')
  const { allocation } = await broker.ask('GetAllocation', { name: 'short' })
  expect(allocation).toMatchObject({ verdict: 'changed' })
})

test('a client that resizes its memory is undone, and named', async () => {
  const client = broker.client()
  await client.call('Allocate', { name: 'mine', bytes: MiB })
  const { fds } = await client.call('CreateMapping', { name: 'mine' })
  const events: object[] = []
  const viewer = broker.client()
  let watching = false
  const stream = (async () => {
    for await (const { event, snapshotEnd } of viewer.stream('Watch', {})) {
      if (snapshotEnd) watching = true
      if (event) events.push(event)
    }
  })()
  stream.catch(() => {})
  await until(() => watching, 'the viewer has its snapshot')
  truncateSync(path.join(broker.directory, 'alloc-1'), page)
  await until(() => events.some(event => (event as { kind: string }).kind === 'tampered'), 'the event')
  expect(events).toContainEqual(
    expect.objectContaining({
      kind: 'tampered',
      allocation: 'mine',
      detail: expect.stringContaining(`held by ${process.pid}`),
    }),
  )
  const window = new Window(fds[0]!, 0, MiB, true)
  Buffer.from(window.buffer).fill(7)
  window.revoke()
})
