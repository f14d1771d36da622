/**
 * Proves that a value that is of the right type and makes no sense is refused by name, for every parameter that has a
 * meaning, and that a refused call has changed nothing.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { BrokerMethodName } from '../../protocol/generated/broker'
import { parseInterface } from '../../protocol/idl/parser'
import { metadataBytesMax, nameBytesMax, secretBytesMax } from '../../protocol/wire/limits'
import { leaksNothing } from '../support/leaks-nothing'
import { packageRoot } from '../support/package-root'
import { TestBroker, type TestClient } from '../support/test-broker'

const page = 4096
const MiB = 2 ** 20
const rangeBytes = 64 * MiB
let broker: TestBroker
let client: TestClient

beforeAll(async () => {
  broker = await TestBroker.start({ bytes: rangeBytes })
})
afterAll(() => broker.dispose())

/** A test body with an allocation 'vm/ram' of two pages, held by client. */
function withRam(body: () => Promise<void>): () => Promise<void> {
  return () =>
    leaksNothing(broker, async () => {
      client = broker.client()
      await client.call('Allocate', { name: 'vm/ram', bytes: 2 * page })
      await body()
      const { allocation, mappings } = await client.call('GetAllocation', { name: 'vm/ram' })
      expect(allocation).toMatchObject({ bytes: 2 * page, metadata: null, shares: [] })
      expect(mappings).toEqual([])
      expect((await client.call('GetStatus', {})).allocations).toBe(1)
      expect(readdirSync(broker.directory).filter(name => name.startsWith('alloc-'))).toHaveLength(1)
    })
}

async function refused(method: BrokerMethodName, parameters: object, error: string, details: object = {}) {
  await expect(client.call(method, parameters as never)).rejects.toMatchObject({
    error: `io.membroker.Broker.${error}`,
    parameters: details,
  })
}

test(
  'a NUMA node of which no range has memory',
  withRam(async () => {
    const reason = expect.stringContaining("there are 'default' of an unknown node")
    for (const node of [0, 7, -1])
      await refused('Allocate', { name: 'vm/near', bytes: page, node }, 'InvalidArgument', {
        parameter: 'node',
        reason,
      })
    const named = { name: 'vm/near', bytes: page, node: 0, range: 'default' }
    await refused('Allocate', named, 'InvalidArgument', { parameter: 'node' })
    const any = await client.call('Allocate', { name: 'vm/far', bytes: page, node: null })
    expect(any.allocation.range).toBe('default')
    await client.call('Release', { name: 'vm/far' })
  }),
)

const hostileNames: [string, string][] = [
  ['empty', ''],
  ['a parent', '../x'],
  ['a parent inside', 'vm/../../etc/passwd'],
  ['a parent at the end', 'vm/..'],
  ['this folder', './x'],
  ['absolute', '/etc/passwd'],
  ['a slash at the end', 'vm/'],
  ['two slashes', 'vm//ram'],
  ['NUL', 'vm\0ram'],
  ['a newline', 'vm\nram'],
  ['a terminal escape', 'vm\u001b[2Jram'],
  ['a C1 control', 'vm\u009bram'],
  ['a line separator', 'vm\u2028ram'],
  ['a replacement character', 'vm\ufffdram'],
  ['white space around', ' vm '],
  ['a byte too long', 'x'.repeat(nameBytesMax + 1)],
  ['too long in bytes, not in letters', 'é'.repeat(128)],
  ['10 kB', 'x'.repeat(10_000)],
]

test.each(hostileNames)('a name that is %s can be neither taken nor found', async (_, name) => {
  await withRam(async () => {
    await refused('Allocate', { name, bytes: page }, 'InvalidArgument', { parameter: 'name' })
    for (const method of ['GetAllocation', 'CreateMapping', 'Claim', 'Release'] as const)
      await refused(method, { name }, 'NotFound', { kind: 'allocation', name })
    expect((await client.call('ListAllocations', { prefix: name })).allocations).toHaveLength(
      'vm/ram'.startsWith(name) ? 1 : 0,
    )
  })()
})

test(
  'names of any script, of the full length, and of words with a meaning elsewhere are names',
  withRam(async () => {
    const names = ['__proto__', 'constructor', 'vm 1', '内存/ram', 'a'.repeat(nameBytesMax), '*', '-rf', '%s']
    for (const name of names) {
      await client.call('Allocate', { name, bytes: page })
      expect((await client.call('GetAllocation', { name })).allocation.name).toBe(name)
    }
    for (const name of names) await client.call('Release', { name })
  }),
)

describe('Allocate', () => {
  const allocate = (parameters: object) => ({ name: 'new', bytes: page, ...parameters })
  test.each<[string, object, string, object]>([
    ['no bytes', { bytes: 0 }, 'InvalidArgument', { parameter: 'bytes' }],
    ['negative bytes', { bytes: -page }, 'InvalidArgument', { parameter: 'bytes' }],
    ['more than the range', { bytes: rangeBytes + 1 }, 'NoSpace', { requestedBytes: rangeBytes + 1 }],
    ['the largest integer', { bytes: Number.MAX_SAFE_INTEGER }, 'NoSpace', { range: 'default' }],
    ['a negative alignment', { alignBytes: -page }, 'InvalidArgument', { parameter: 'alignBytes' }],
    ['an odd alignment', { alignBytes: 12_288 }, 'InvalidArgument', { parameter: 'alignBytes' }],
    ['an alignment one off', { alignBytes: 2 ** 52 + 1 }, 'InvalidArgument', { parameter: 'alignBytes' }],
    ['a huge alignment', { alignBytes: 2 ** 52 }, 'InvalidArgument', { parameter: 'alignBytes' }],
    ['an unknown range', { range: 'gold' }, 'NotFound', { kind: 'range', name: 'gold' }],
    ['a hostile range', { range: '../default' }, 'NotFound', { kind: 'range' }],
    ['an empty secret', { secret: '' }, 'InvalidArgument', { parameter: 'secret' }],
    ['a long secret', { secret: 'x'.repeat(secretBytesMax + 1) }, 'InvalidArgument', { parameter: 'secret' }],
    ['a negative uid', { uid: -1 }, 'InvalidArgument', { parameter: 'uid' }],
    ['the uid that means none', { uid: 0xffffffff }, 'InvalidArgument', { parameter: 'uid' }],
    [
      'too much metadata',
      { metadata: { a: 'x'.repeat(metadataBytesMax) } },
      'InvalidArgument',
      { parameter: 'metadata' },
    ],
    ['a name in use', { name: 'vm/ram' }, 'NameTaken', { name: 'vm/ram' }],
  ])('%s', async (_, parameters, error, details) => {
    await withRam(() => refused('Allocate', allocate(parameters), error, details))()
  })

  test(
    'unaligned bytes are rounded up, and an alignment below the page is the page',
    withRam(async () => {
      for (const [bytes, alignBytes] of [
        [1, 1],
        [page + 1, 512],
        [3 * page - 1, 0],
      ] as const) {
        const { allocation } = await client.call('Allocate', { name: 'new', bytes, alignBytes })
        expect(allocation).toMatchObject({ bytes: Math.ceil(bytes / page) * page, alignBytes: page })
        await client.call('Release', { name: 'new' })
      }
    }),
  )
})

test.each<[BrokerMethodName, string, object, string, object]>([
  ['Grow', 'no bytes', { bytes: 0 }, 'InvalidArgument', { parameter: 'bytes' }],
  ['Grow', 'negative bytes', { bytes: -1 }, 'InvalidArgument', { parameter: 'bytes' }],
  ['Grow', 'fewer bytes', { bytes: page }, 'InvalidArgument', { parameter: 'bytes' }],
  ['Grow', 'more than the range', { bytes: rangeBytes + 1 }, 'NoSpace', {}],
  ['Grow', 'the largest integer', { bytes: Number.MAX_SAFE_INTEGER }, 'NoSpace', {}],
  [
    'SetMetadata',
    'too much',
    { metadata: { a: 'é'.repeat(metadataBytesMax / 2) } },
    'InvalidArgument',
    { parameter: 'metadata' },
  ],
  ['Share', 'a negative uid', { uid: -5, access: 'read' }, 'InvalidArgument', { parameter: 'uid' }],
  ['Share', 'a uid too large', { uid: 2 ** 32, access: 'read' }, 'InvalidArgument', { parameter: 'uid' }],
  ['Give', 'a negative uid', { uid: -5 }, 'InvalidArgument', { parameter: 'uid' }],
  ['CreateMapping', 'an unaligned offset', { offset: 1 }, 'InvalidArgument', { parameter: 'offset' }],
  ['CreateMapping', 'a negative offset', { offset: -page }, 'InvalidArgument', { parameter: 'offset' }],
  ['CreateMapping', 'an offset at the end', { offset: 2 * page }, 'InvalidArgument', { parameter: 'offset' }],
  [
    'CreateMapping',
    'the largest offset',
    { offset: Number.MAX_SAFE_INTEGER },
    'InvalidArgument',
    { parameter: 'offset' },
  ],
  ['CreateMapping', 'no length', { length: 0 }, 'InvalidArgument', { parameter: 'length' }],
  ['CreateMapping', 'a negative length', { length: -page }, 'InvalidArgument', { parameter: 'length' }],
  ['CreateMapping', 'an unaligned length', { length: page + 1 }, 'InvalidArgument', { parameter: 'length' }],
  ['CreateMapping', 'a length too long', { length: 3 * page }, 'InvalidArgument', { parameter: 'length' }],
  [
    'CreateMapping',
    'a length past the end',
    { offset: page, length: 2 * page },
    'InvalidArgument',
    { parameter: 'length' },
  ],
  [
    'CreateMapping',
    'a negative guest address',
    { guestAddress: -page },
    'InvalidArgument',
    { parameter: 'guestAddress' },
  ],
  [
    'CreateMapping',
    'an unaligned guest address',
    { guestAddress: 5 },
    'InvalidArgument',
    { parameter: 'guestAddress' },
  ],
  [
    'CreateMapping',
    'too much metadata',
    { metadata: { a: 'x'.repeat(metadataBytesMax) } },
    'InvalidArgument',
    { parameter: 'metadata' },
  ],
  ['Release', 'a negative grace', { graceMs: -1 }, 'InvalidArgument', { parameter: 'graceMs' }],
  ['Release', 'a grace of years', { graceMs: 1e12 }, 'InvalidArgument', { parameter: 'graceMs' }],
  ['Claim', 'neither name nor prefix', { name: null }, 'InvalidArgument', { parameter: 'name' }],
  [
    'Claim',
    'a prefix without more',
    { name: null, prefix: 'vm' },
    'InvalidArgument',
    { parameter: 'prefix' },
  ],
])('%s with %s', async (method, _, parameters, error, details) => {
  await withRam(() => refused(method, { name: 'vm/ram', ...parameters }, error, details))()
})

test.each<[BrokerMethodName, object, string, object]>([
  ['RevokeMapping', { mapping: 0 }, 'NotFound', { kind: 'mapping', name: '0' }],
  ['RevokeMapping', { mapping: -1 }, 'NotFound', { kind: 'mapping', name: '-1' }],
  ['RevokeMapping', { mapping: Number.MAX_SAFE_INTEGER }, 'NotFound', { kind: 'mapping' }],
  ['ListAllocations', { limit: 0 }, 'InvalidArgument', { parameter: 'limit' }],
  ['ListAllocations', { limit: -1 }, 'InvalidArgument', { parameter: 'limit' }],
  ['ListAllocations', { limit: 257 }, 'InvalidArgument', { parameter: 'limit' }],
  ['Freeze', { reason: 'x'.repeat(201) }, 'InvalidArgument', { parameter: 'reason' }],
])('%s with %j', async (method, parameters, error, details) => {
  await withRam(() => refused(method, parameters, error, details))()
})

test(
  'a page of allocations may begin anywhere',
  withRam(async () => {
    for (const after of [-1, 0])
      expect((await client.call('ListAllocations', { after })).allocations).toHaveLength(1)
    const { allocations, next } = await client.call('ListAllocations', { after: Number.MAX_SAFE_INTEGER })
    expect([allocations, next]).toEqual([[], null])
  }),
)

test(
  'a revoke with a grace period that makes no sense leaves the mapping as it was',
  withRam(async () => {
    const { grant, fds } = await client.call('CreateMapping', { name: 'vm/ram' })
    for (const graceMs of [-1, 1e12])
      await refused('RevokeMapping', { mapping: grant.mapping.id, graceMs }, 'InvalidArgument', {
        parameter: 'graceMs',
      })
    const { mappings } = await client.call('GetAllocation', { name: 'vm/ram' })
    expect(mappings).toEqual([grant.mapping])
    client.closeFd(fds[0]!)
    await client.call('RevokeMapping', { mapping: grant.mapping.id })
  }),
)

test('a nullable parameter that is null is one that is absent, in every method', async () => {
  // Proves it on two brokers that get the same calls: their answers differ in times only.
  const text = readFileSync(path.join(packageRoot, 'protocol/io.membroker.Broker.varlink'), 'utf8')
  const nulls = new Map(
    parseInterface(text).methods.map(method => [
      method.name,
      method.in.fields.filter(({ type }) => type.kind === 'nullable').map(({ name }) => [name, null]),
    ]),
  )
  const calls: [BrokerMethodName, object][] = [
    ['Allocate', { name: 'vm/ram', bytes: page }],
    ['Grow', { name: 'vm/ram', bytes: 2 * page }],
    ['Discard', { name: 'vm/ram', pieces: [{ offset: 0, length: page }] }],
    ['Shrink', { name: 'vm/ram', bytes: page }],
    ['SetMetadata', { name: 'vm/ram' }],
    ['Share', { name: 'vm/ram', uid: 1 }],
    ['Give', { name: 'vm/ram', uid: 1 }],
    ['CreateMapping', { name: 'vm/ram' }],
    ['RevokeMapping', { mapping: 1 }],
    ['ListAllocations', {}],
    ['Claim', { name: 'vm/ram' }],
    ['Claim', {}],
    ['MarkPoisoned', { offset: 0, length: page }],
    ['MarkPoisoned', { name: 'vm/ram', offset: 0, length: page }],
    ['Verify', {}],
    ['GetAllocation', { name: 'vm/ram' }],
    ['Freeze', {}],
    ['Thaw', {}],
    ['AnswerUpdate', { participant: 1, update: 1, outcome: 'ready' }],
    ['ProceedUpdate', { update: 1 }],
    ['CancelUpdate', { update: 1 }],
    ['ReportResumed', { update: 1, name: 'vm', runningAt: 1 }],
    ['Release', { name: 'vm/ram' }],
  ]
  const streams = ['Watch', 'BeginUpdate']
  const covered = [...calls.map(([method]) => method as string), ...streams]
  const nullable = [...nulls].filter(([, fields]) => fields.length > 0)
  expect(nullable.map(([method]) => method).filter(method => !covered.includes(method))).toEqual([])

  const answers = async (withNulls: boolean) => {
    const other = await TestBroker.start({ bytes: rangeBytes })
    try {
      const caller = other.client()
      const said: string[] = []
      for (const [method, parameters] of calls) {
        const all = { ...(withNulls && Object.fromEntries(nulls.get(method)!)), ...parameters }
        const {
          error,
          parameters: details,
          ...answer
        } = await caller.call(method, all as never).catch(refusal => refusal)
        // The number of a descriptor depends on what else this process has open.
        const fds = (answer.fds as number[] | undefined)?.length
        const told = JSON.stringify([method, error, details, { ...answer, fds }])
        said.push(told.replace(/\d{12,}/g, 'time').replaceAll(path.dirname(other.socket), 'folder'))
      }
      return said
    } finally {
      await other.dispose()
    }
  }
  expect(await answers(true)).toEqual(await answers(false))
})
