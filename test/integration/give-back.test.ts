/**
 * Proves that memory goes back to the host and to the range only as its owner says and may: who else asks, and how, is refused
 * and changes nothing. What went back is zero, also after the broker's end and for a digest, and what stays is as it was.
 */
import { chmodSync, fstatSync, ftruncateSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { Window } from '../../native'
import { discardPiecesMax } from '../../protocol/wire/limits'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { TestBroker, type TestClient } from '../support/test-broker'

const page = 4096
const withOthers = needsRoot('clients of another uid') ? test : test.skip
let broker: TestBroker
let client: TestClient

beforeAll(async () => {
  broker = await TestBroker.start()
  // For the process of another uid.
  chmodSync(broker.folder, 0o755)
  client = broker.client()
})
afterAll(() => broker.dispose())

/** An allocation of four pages, each filled with its number from 1 on. */
async function filled(name: string): Promise<string> {
  const { allocation } = await client.call('Allocate', { name, bytes: 4 * page })
  const { grant, fds } = await client.call('CreateMapping', { name })
  const window = new Window(fds[0]!, 0, 4 * page, true)
  for (let number = 0; number < 4; number++)
    Buffer.from(window.buffer).fill(number + 1, number * page, (number + 1) * page)
  window.revoke()
  client.closeFd(fds[0]!)
  await client.call('RevokeMapping', { mapping: grant.mapping.id })
  return path.join(broker.directory, `alloc-${allocation.id}`)
}
const numbers = (file: string) => [0, 1, 2, 3].map(index => readFileSync(file)[index * page])
const name = 'vm/ram'
const piece = (offset: number, length: number) => ({ offset, length })

test('an allocation of a memfd range keeps its size, whoever wants another', async () => {
  const sealed = await TestBroker.start({ main: { source: 'memfd' } })
  try {
    const owner = sealed.client()
    await owner.call('Allocate', { name, bytes: 4 * page })
    const { fds } = await owner.call('CreateMapping', { name })
    const refused = (code: string) => ({ error: 'io.membroker.Broker.SourceFailed', parameters: { code } })
    await expect(owner.call('Grow', { name, bytes: 8 * page })).rejects.toMatchObject(refused('EPERM'))
    await expect(owner.call('Shrink', { name, bytes: page })).rejects.toMatchObject({
      error: expect.stringMatching(/Busy|SourceFailed/),
    })
    for (const bytes of [0, page, 8 * page]) expect(() => ftruncateSync(fds[0]!, bytes)).toThrow('EPERM')
    expect(fstatSync(fds[0]!).size).toBe(4 * page)
    owner.closeFd(fds[0]!)
    const [grant] = (await owner.call('GetAllocation', { name })).mappings
    await owner.call('RevokeMapping', { mapping: grant!.id, graceMs: 0 })
    await expect(owner.call('Shrink', { name, bytes: page })).rejects.toMatchObject(refused('EOPNOTSUPP'))
    const { usage } = await owner.call('GetStatus', {})
    expect(usage).toMatchObject([{ bytes: 4 * page }])
  } finally {
    await sealed.dispose()
  }
})

describe('discard', () => {
  let file: string
  beforeEach(async () => {
    file = await filled(name)
  })
  afterEach(() => client.call('Release', { name }))

  test.each<[string, { offset: number; length: number }[]]>([
    ['no piece', []],
    ['an unaligned offset', [piece(1, page)]],
    ['an unaligned length', [piece(0, page + 1)]],
    ['an empty piece', [piece(0, 0)]],
    ['a negative offset', [piece(-page, page)]],
    ['a negative length', [piece(page, -page)]],
    ['a piece beyond the end', [piece(3 * page, 2 * page)]],
    ['a piece behind the end', [piece(4 * page, page)]],
    ['the largest numbers', [piece(2 ** 53 - page, 2 ** 53 - page)]],
    ['pieces that overlap, in any order', [piece(page, 2 * page), piece(0, 2 * page)]],
    ['the same piece twice', [piece(0, page), piece(0, page)]],
    ['too many pieces', Array.from({ length: discardPiecesMax + 1 }, () => piece(0, page))],
  ])('of %s is refused, and nothing is discarded', async (_, pieces) => {
    await expect(client.call('Discard', { name, pieces })).rejects.toMatchObject({
      error: 'io.membroker.Broker.InvalidArgument',
      parameters: { parameter: 'pieces' },
    })
    expect(numbers(file)).toEqual([1, 2, 3, 4])
  })

  test('of as many pieces as a call may have is one call', async () => {
    const many = { name: 'many', bytes: 2 * discardPiecesMax * page }
    const { allocation } = await client.call('Allocate', many)
    const { fds } = await client.call('CreateMapping', { name: 'many' })
    const window = new Window(fds[0]!, 0, many.bytes, true)
    Buffer.from(window.buffer).fill(1)
    const pieces = Array.from({ length: discardPiecesMax }, (_, index) => piece(2 * index * page, page))
    const { residentBytes } = await client.call('Discard', { name: 'many', pieces: pieces.reverse() })
    expect(residentBytes).toBe(many.bytes / 2)
    expect(statSync(path.join(broker.directory, `alloc-${allocation.id}`)).blocks * 512).toBe(residentBytes)
    window.revoke()
    client.closeFd(fds[0]!)
    await client.call('Release', { name: 'many' })
  })

  withOthers('is for the process that holds it, or has mapped it for writing', async () => {
    const uid = 65534
    const other = await OtherProcess.start(broker.socket, { uid })
    const discard = (offset: number) => other.refusal('Discard', { name, pieces: [piece(offset, page)] })
    expect(await discard(0)).toBe('NotFound')
    await client.call('Share', { name, uid, access: 'read' })
    await other.run(({ client }, name) => client.call('CreateMapping', { name, access: 'read' }), name)
    expect(await discard(0)).toBe('PermissionDenied')
    await client.call('Share', { name, uid, access: 'readWrite' })
    const part = { name, offset: page, length: page }
    const { grant } = await other.run(({ client }, part) => client.call('CreateMapping', part), part)
    expect(await discard(0)).toBe('PermissionDenied')
    expect(await discard(page)).toBeUndefined()
    expect(numbers(file)).toEqual([1, 0, 3, 4])
    await client.call('RevokeMapping', { mapping: grant.mapping.id, graceMs: 0 })
    expect(await discard(page)).toBe('PermissionDenied')
    await other.kill()
    const same = await OtherProcess.start(broker.socket)
    expect(await same.refusal('Discard', { name, pieces: [piece(0, page)] })).toBe('AlreadyClaimed')
    expect(await same.refusal('Claim', { name, takeOver: true })).toBeUndefined()
    const pieces = [piece(0, page)]
    const busy = { error: 'io.membroker.Broker.Busy' }
    await expect(client.call('Discard', { name, pieces })).rejects.toMatchObject(busy)
    await expect(client.call('Shrink', { name, bytes: page })).rejects.toMatchObject(busy)
    await same.kill()
    expect(numbers(file)).toEqual([1, 0, 3, 4])
  })

  test('is refused in a freeze, and so is shrink', async () => {
    await client.call('Freeze', { reason: 'kernel' })
    const frozen = { error: 'io.membroker.Broker.Frozen' }
    await expect(client.call('Discard', { name, pieces: [piece(0, page)] })).rejects.toMatchObject(frozen)
    await expect(client.call('Shrink', { name, bytes: page })).rejects.toMatchObject(frozen)
    await client.call('Thaw', {})
    expect(numbers(file)).toEqual([1, 2, 3, 4])
  })

  test('and the end of the broker leave zeros, for a digest too', async () => {
    const pieces = [piece(page, page), piece(3 * page, page)]
    const discarded = await client.call('Discard', { name, pieces })
    client.close()
    await broker.restart()
    client = broker.client()
    const { residentBytes, allocation } = await client.call('GetAllocation', { name })
    expect([residentBytes, allocation.bytes]).toEqual([discarded.residentBytes, 4 * page])
    expect(numbers(file)).toEqual([1, 0, 3, 0])
    for await (const _ of client.stream('Freeze', { reason: 'kernel', digests: true }));
    // Reading it for the digest takes no pages.
    expect((await client.call('GetAllocation', { name })).residentBytes).toBe(residentBytes)
    expect((await client.call('Verify', { prefix: name })).verdict).toBe('intact')
    await client.call('Thaw', {})
  })
})

describe('shrink', () => {
  let file: string
  beforeEach(async () => {
    file = await filled(name)
  })
  afterEach(() => client.call('Release', { name }))

  test.each<[string, number, string]>([
    ['to nothing', 0, 'InvalidArgument'],
    ['to less than nothing', -page, 'InvalidArgument'],
    ['to more', 4 * page + 1, 'InvalidArgument'],
    ['to the largest integer', Number.MAX_SAFE_INTEGER, 'InvalidArgument'],
  ])('%s is refused', async (_, bytes, error) => {
    await expect(client.call('Shrink', { name, bytes })).rejects.toMatchObject({
      error: `io.membroker.Broker.${error}`,
    })
    expect(numbers(file)).toEqual([1, 2, 3, 4])
  })

  withOthers('below a mapping is refused, whether its process lives or not', async () => {
    const { grant } = await client.call('CreateMapping', { name, offset: page, length: 2 * page })
    const refused = () =>
      expect(client.call('Shrink', { name, bytes: 2 * page })).rejects.toMatchObject({
        error: 'io.membroker.Broker.Busy',
        parameters: { operation: expect.stringContaining(`mapping ${grant.mapping.id}, `) },
      })
    await refused()
    expect((await client.call('Shrink', { name, bytes: 3 * page })).allocation.bytes).toBe(3 * page)
    const other = await OtherProcess.start(broker.socket, { uid: 65534 })
    await client.call('Share', { name, uid: 65534, access: 'read' })
    const part = { name, access: 'read' as const }
    const { grant: theirs } = await other.run(({ client }, part) => client.call('CreateMapping', part), part)
    await other.kill()
    client.close()
    client = broker.client()
    await client.call('RevokeMapping', { mapping: grant.mapping.id, graceMs: 0 })
    await expect(client.call('Shrink', { name, bytes: 2 * page })).rejects.toMatchObject({
      parameters: { operation: expect.stringContaining(`mapping ${theirs.mapping.id}, dormant`) },
    })
    await client.call('RevokeMapping', { mapping: theirs.mapping.id, graceMs: 0 })
    expect((await client.call('Shrink', { name, bytes: 2 * page })).allocation.bytes).toBe(2 * page)
  })

  withOthers('two at once are one after the other or Busy, and a stranger gets neither', async () => {
    const other = await OtherProcess.start(broker.socket, { uid: 65534 })
    expect(await other.refusal('Shrink', { name, bytes: page })).toBe('NotFound')
    await client.call('Share', { name, uid: 65534, access: 'readWrite' })
    expect(await other.refusal('Shrink', { name, bytes: page })).toBe('PermissionDenied')
    await other.kill()
    const [left, right] = [broker.client(), broker.client()]
    const both = await Promise.allSettled([
      left.call('Shrink', { name, bytes: 3 * page }),
      right.call('Shrink', { name, bytes: page }),
    ])
    for (const one of both)
      if (one.status === 'rejected') expect(one.reason.error).toMatch(/Busy|InvalidArgument/)
    const { allocation } = await client.call('GetAllocation', { name })
    expect([page, 3 * page]).toContain(allocation.bytes)
    expect(statSync(file).size).toBe(allocation.bytes)
  })

  test('refunds the quota, and tells who watches', async () => {
    const watcher = broker.client()
    const events = watcher.stream('Watch', {})
    while (!(await events.next()).value.snapshotEnd);
    const used = async () =>
      (await client.call('GetStatus', {})).usage.find(({ uid }) => uid === process.getuid!())!
    const before = await used()
    await client.call('Shrink', { name, bytes: page })
    expect(await used()).toEqual({ ...before, bytes: before.bytes - 3 * page })
    await client.call('Discard', { name, pieces: [piece(0, page)] })
    const seen: unknown[] = []
    while (seen.length < 3) {
      const { event } = (await events.next()).value
      if (event) seen.push([event.kind, event.bytes])
    }
    expect(seen).toEqual([
      ['shrunk', page],
      ['reclaimed', 3 * page],
      ['discarded', page],
    ])
    watcher.close()
  })
})
