/**
 * Proves that no client library crashes, leaks a descriptor or memory, or takes wrong for right, whatever the program at the socket
 * says: another version, a truncated reply, descriptors too many or too few, nonsense.
 */
import { until } from '../support/test-broker'
import type { Arguments, Operation } from './cases'
import { Driver, languages } from './driver-process'
import { allocation, HostileBroker, type Piece, type Script } from './hostile-broker'

interface Attack {
  readonly name: string
  readonly do: Operation
  readonly with?: Arguments
  readonly script: Omit<Script, 'method'>
  /** The error's code; undefined: it is none. */
  readonly fails: string | undefined
}

const violation = 'ProtocolViolation'
const message = (value: unknown, fds = 0): Piece => ({ bytes: `${JSON.stringify(value)}\0`, fds })
const raw = (bytes: string | Buffer, fds = 0): Piece => ({ bytes, fds })

const allocated = (changes: object = {}) => ({ parameters: { allocation: { ...allocation, ...changes } } })
const text = JSON.stringify(allocated())
const mapping = {
  id: 7,
  allocation: 'x',
  offset: 0,
  length: 4096,
  access: 'read',
  uid: 0,
  pid: 1,
  state: 'held',
}
const grant = (fileDescriptor: unknown, more: object = {}) => ({
  mapping,
  fileDescriptor,
  mmapOffset: 0,
  ...more,
})
const granted = (fileDescriptor: unknown, more: object = {}) => ({
  parameters: { grant: grant(fileDescriptor, more) },
})
const claimed = (grants: unknown[], more: object = {}) => ({
  parameters: { outcome: 'claimed', allocation, grants, ...more },
})
const nested = (depth: number) =>
  `{"parameters":{"allocation":${JSON.stringify(allocation)},"x":${'['.repeat(depth - 2)}${']'.repeat(depth - 2)}}}\0`
const withBytes = (bytes: string) => raw(`${text.replace('"bytes":4096', `"bytes":${bytes}`)}\0`)

const ofAllocate = (
  name: string,
  pieces: Piece[],
  fails: string | undefined,
  more: Partial<Script> = {},
): Attack => ({
  name,
  do: 'allocate',
  with: { name: 'x', size: 4096 },
  script: { pieces, ...more },
  fails,
})
const ofMap = (name: string, pieces: Piece[], fails: string | undefined): Attack => ({
  name,
  do: 'map',
  with: { as: 'm', name: 'x' },
  script: { pieces },
  fails,
})
const ofClaim = (name: string, pieces: Piece[], fails: string | undefined): Attack => ({
  name,
  do: 'claim',
  with: { as: 'm', prefix: '' },
  script: { pieces },
  fails,
})

const attacks: Attack[] = [
  ofAllocate('what a broker says', [message(allocated())], undefined),
  ofAllocate(
    'a newer broker, which says more',
    [message(allocated({ color: { a: [1e300] }, shares: [{ uid: 1, access: 'read', x: 0 }] }))],
    undefined,
  ),
  ofAllocate("a vendor's member", [raw(`{"com.example.x":[],${text.slice(1)}\0`)], undefined),
  ofAllocate('byte by byte', [message(allocated({ metadata: { a: 'ä😀' } }))], undefined, { slow: true }),
  ofAllocate('a member twice: the last one counts', [raw(`{"parameters":[],${text.slice(1)}\0`)], undefined),
  ofAllocate('64 levels', [raw(nested(64))], undefined),
  ofAllocate('65 levels', [raw(nested(65))], violation),
  ofAllocate('a million levels', [raw(`${'['.repeat(1_000_000)}\0`)], violation),
  ofAllocate(
    'an older broker',
    [message({ error: 'org.varlink.service.MethodNotFound', parameters: { method: 'Allocate' } })],
    'MethodNotFound',
  ),
  ofAllocate(
    'a parameter that it does not know',
    [message({ error: 'org.varlink.service.InvalidParameter', parameters: { parameter: 'node' } })],
    'InvalidParameter',
  ),
  ofAllocate(
    'an error that nobody knows',
    [message({ error: 'io.membroker.Broker.Eclipse', parameters: { a: 'x'.repeat(20_000) } })],
    'Eclipse',
  ),
  ofAllocate(
    'an error with other parameters',
    [message({ error: 'io.membroker.Broker.NoSpace', parameters: { range: 7, freeBytes: 'many' } })],
    'NoSpace',
  ),
  ofAllocate('half a reply, and the end', [raw(text.slice(0, 40))], 'ConnectionLost', { close: true }),
  ofAllocate('the end', [], 'ConnectionLost', { close: true }),
  ofAllocate('a missing member', [message(allocated({ range: undefined }))], violation),
  ofAllocate('no parameters', [message({})], violation),
  ofAllocate('a member of another type', [message(allocated({ name: 7 }))], violation),
  ofAllocate('a word that is none', [message(allocated({ verdict: 'splendid' }))], violation),
  ofAllocate('an extent that is none', [message(allocated({ extents: [{ offset: 0 }] }))], violation),
  ...['1e400', '9007199254740993', '99999999999999999999', '1.5', '-9007199254740992', '"4096"', 'null'].map(
    bytes => ofAllocate(`${bytes} bytes`, [withBytes(bytes)], violation),
  ),
  ...['01', '+1', '.5', '1.', '1e', 'NaN', 'Infinity', '-', '0x10'].map(bytes =>
    ofAllocate(`the number ${bytes}`, [withBytes(bytes)], violation),
  ),
  ofAllocate(
    'a name that is no UTF-8',
    [raw(Buffer.from(`${text.replace('"x"', '"\xff"')}\0`, 'latin1'))],
    violation,
  ),
  ofAllocate(
    'an overlong form',
    [raw(Buffer.from(`${text.replace('"x"', '"\xc0\x80"')}\0`, 'latin1'))],
    violation,
  ),
  ofAllocate('half a character at the end', [raw(Buffer.from('{"a":"\xe2\x82\0', 'latin1'))], violation),
  ofAllocate('half a surrogate', [raw(`${text.replace('"x"', '"\\ud800"')}\0`)], violation),
  ofAllocate(
    'a surrogate of two first halves',
    [raw(`${text.replace('"x"', '"\\ud800\\ud800"')}\0`)],
    violation,
  ),
  ofAllocate('a control character', [raw(`${text.replace('"x"', '"\n"')}\0`)], violation),
  ofAllocate('an escape that is none', [raw(`${text.replace('"x"', '"\\x41"')}\0`)], violation),
  ofAllocate('an escape of three digits', [raw(`${text.replace('"x"', '"\\u12g4"')}\0`)], violation),
  ofAllocate('a string that does not end', [raw('{"a":"\\\0')], violation),
  ofAllocate('a byte order mark', [raw(`\ufeff${text}\0`)], violation),
  ofAllocate('a trailing comma', [raw(`${text.slice(0, -1)},}\0`)], violation),
  ofAllocate('text behind it', [raw(`${text}x\0`)], violation),
  ofAllocate('an empty message', [raw('\0')], violation),
  ofAllocate('no object', [raw('[1]\0')], violation),
  ofAllocate('a web server', [raw('HTTP/1.1 400 Bad Request\r\n\r\n\0')], violation),
  ofAllocate('an unknown member', [message({ ...allocated(), upgraded: true })], violation),
  ofAllocate('several replies to one call', [message({ ...allocated(), continues: true })], violation),
  ofAllocate('an error that continues', [message({ error: 'a.B', continues: true })], violation),
  ofAllocate('an error that is no name', [message({ error: 7 })], violation),
  ofAllocate('parameters that are no object', [message({ parameters: [] })], violation),
  ofAllocate('continues that is no boolean', [message({ ...allocated(), continues: 'yes' })], violation),
  ofAllocate('five megabytes without an end', [raw(Buffer.alloc(5 * 2 ** 20, 'x'))], violation),
  ofAllocate('a descriptor that nobody asked for', [message(allocated(), 1)], violation),
  ofAllocate('an error with descriptors', [message({ error: 'a.B' }, 3)], violation),

  ofMap('what a broker says', [message(granted(0), 1)], undefined),
  ofMap('no descriptor', [message(granted(0))], violation),
  ofMap('a descriptor too many', [message(granted(0), 2)], violation),
  ofMap('a descriptor that did not come', [message(granted(1), 1)], violation),
  ofMap('descriptor -1', [message(granted(-1), 1)], violation),
  ofMap('a descriptor without a number', [message(granted(null), 1)], violation),
  ofMap('129 descriptors', [message(granted(0), 129)], violation),
  ofMap('253 descriptors', [message(granted(0), 253)], violation),
  ofMap(
    'a mapping that is none',
    [message(granted(0, { mapping: { ...mapping, access: 'write' } }), 1)],
    violation,
  ),
  ofMap('no grant', [message({ parameters: {} }, 1)], violation),
  ofMap(
    'a descriptor in the middle of a message',
    // Longer than one read: no message begins in the last.
    [raw(`{"a.b":"${'x'.repeat(2 ** 20)}",`), raw(`${JSON.stringify(granted(0)).slice(1)}\0`, 1)],
    violation,
  ),
  ofMap('garbage with descriptors', [raw('garbage\0', 5)], violation),

  ofClaim('what a broker says', [message(claimed([grant(1), grant(0)]), 2)], undefined),
  ofClaim('one descriptor for two', [message(claimed([grant(0), grant(0)]), 1)], violation),
  ofClaim('a descriptor for nobody', [message(claimed([grant(0)]), 2)], violation),
  ofClaim(
    'a good one, then garbage',
    [message({ ...claimed([grant(0)]), continues: true }, 1), raw('{"a', 1), raw('}\0')],
    violation,
  ),
  ofClaim('a claim of nothing', [message(claimed([grant(0)], { allocation: null }), 1)], violation),
  ofClaim('an outcome that is none', [message(claimed([], { outcome: 'perhaps' }))], violation),
  ofClaim('no grants', [message({ parameters: { outcome: 'claimed', allocation } })], violation),
  ofClaim('a descriptor with a refusal', [message(claimed([], { outcome: 'held' }), 1)], violation),
]

const methods: Partial<Record<Operation, string>> = {
  allocate: 'Allocate',
  map: 'CreateMapping',
  claim: 'Claim',
}

let broker: HostileBroker
beforeAll(() => {
  broker = new HostileBroker()
})
afterAll(() => broker.dispose())
afterEach(() => {
  broker.script = undefined
  Driver.killAll()
})

/** What the process has open with its connections up. */
async function openDescriptors(driver: Driver): Promise<number> {
  await driver.call('status')
  return (await driver.call('descriptors')).result as number
}

const ofNumber = (id: number) => ({ ...mapping, id, offset: id * 4096, guestAddress: id * 4096, pid: 42 })
const found = (id: number) => ({ mapping: ofNumber(id), fileDescriptor: 0, mmapOffset: 0 })
const held = { ...allocation, holderPid: 42 }
/** The first reply to a claim; another follows. */
const first = message(
  { parameters: { outcome: 'claimed', allocation: held, grants: [found(7)] }, continues: true },
  1,
)

/** What a broker says of which the process has these mappings already; another one is number 9. */
const claimedBefore = (...ids: number[]) => ({
  Claim: message({ parameters: { outcome: 'claimed', allocation: held, grants: [] } }),
  GetAllocation: message({ parameters: { allocation: held, mappings: ids.map(ofNumber) } }),
  CreateMapping: message({ parameters: { grant: found(9) } }, 1),
  RevokeMapping: message({ parameters: { outcome: 'revoked', step: '' } }),
})

const idsOf = ({ result }: { result?: unknown }) =>
  (result as { claimed: Array<{ mappings: Array<{ id: number }> }> }).claimed.map(({ mappings }) =>
    mappings.map(({ id }) => id),
  )

for (const language of languages) {
  test(`${language}: each attack has its error, and leaves nothing open`, async () => {
    const driver = new Driver(language)
    expect(await driver.call('connect', { socket: broker.socket, reconnectMs: 20_000 })).toEqual({
      result: 'connected',
    })
    // Opens what is opened once.
    expect(await driver.call('claim', { as: 'x', prefix: '' })).toEqual({
      result: { claimed: [], notClaimed: [] },
    })
    const before = await openDescriptors(driver)
    const found: object[] = []
    for (const attack of attacks) {
      broker.script = { method: methods[attack.do]!, ...attack.script }
      const answer = await driver.call(attack.do, attack.with)
      broker.script = undefined
      found.push({ attack: `${attack.do}: ${attack.name}`, fails: answer.error?.code })
      const { claimed = [] } = (answer.result ?? {}) as { claimed?: Array<{ mappings: unknown[] }> }
      const held =
        attack.fails !== undefined ? 0 : attack.do === 'map' ? 1 : (claimed[0]?.mappings.length ?? 0)
      for (let index = 0; index < held; index++)
        await driver.call('closeMapping', { mapping: attack.do === 'map' ? 'm' : `m${index}` })
      let after = before
      await until(
        async () => {
          after = await openDescriptors(driver)
          return after === before
        },
        `${language}: ${attack.name} leaves ${after - before} descriptors`,
      )
    }
    expect(found).toEqual(attacks.map(({ name, do: what, fails }) => ({ attack: `${what}: ${name}`, fails })))
    await driver.end()
  })

  test(`${language}: who is no broker is not taken for one`, async () => {
    const greetings: Array<[string, Piece[], boolean]> = [
      ['BrokerUnreachable', [raw('HTTP/1.1 400 Bad Request\r\n\r\n')], true],
      ['BrokerUnreachable', [], true],
      [
        'InterfaceNotFound',
        [
          message({
            error: 'org.varlink.service.InterfaceNotFound',
            parameters: { interface: 'io.membroker.Broker' },
          }),
        ],
        false,
      ],
      [violation, [message({ parameters: { version: '99' } })], false],
      [violation, [raw('SSH-2.0-OpenSSH_9.2\0')], false],
    ]
    const driver = new Driver(language)
    for (const [code, pieces, close] of greetings) {
      broker.script = { method: 'GetStatus', pieces, close }
      expect((await driver.call('connect', { socket: broker.socket, reconnectMs: 60_000 })).error?.code).toBe(
        code,
      )
    }
    await driver.end()
  })

  test(`${language}: a claim that was cut off brings every mapping, also those whose descriptors never came`, async () => {
    broker.says = claimedBefore(7, 8)
    const driver = new Driver(language)
    expect(await driver.call('connect', { socket: broker.socket })).toEqual({ result: 'connected' })
    // The first allocation's reply comes, and half of the next.
    broker.script = { method: 'Claim', pieces: [first, raw('{"par', 1)], close: true, once: true }
    broker.calls.length = 0
    expect(idsOf(await driver.call('claim', { as: 'x', prefix: '' }))).toEqual([[7, 9]])
    expect(broker.calls.filter(name => name !== 'ListRanges' && name !== 'Watch')).toEqual([
      'Claim',
      'Claim',
      'GetAllocation',
      'CreateMapping',
      'RevokeMapping',
    ])
    broker.says = {}
    await driver.end()
  })

  test(`${language}: a hand-over whose claim was cut off leaves the holder's mappings alone`, async () => {
    const joined = { ...held, holderPid: 41, successorPid: 42 }
    const ofHolder = { ...ofNumber(6), pid: 41 }
    const parameters = { outcome: 'joined', allocation: joined, grants: [found(7)] }
    broker.says = {
      ...claimedBefore(),
      Claim: message({ parameters }, 1),
      GetAllocation: message({ parameters: { allocation: joined, mappings: [ofHolder, ofNumber(7)] } }),
    }
    const driver = new Driver(language)
    expect(await driver.call('connect', { socket: broker.socket })).toEqual({ result: 'connected' })
    broker.script = { method: 'Claim', pieces: [raw('{"par', 1)], close: true, once: true }
    broker.calls.length = 0
    expect(idsOf(await driver.call('claim', { as: 'x', prefix: '', takeOver: true }))).toEqual([[7]])
    expect(broker.calls).not.toContain('RevokeMapping')
    broker.says = {}
    await driver.end()
  })

  test(`${language}: a claim that was cut off leaves the holder's mappings alone where its memory is only shared`, async () => {
    const shared = { ...held, holderPid: 41 }
    const ofHolder = { ...ofNumber(6), pid: 41 }
    const parameters = { outcome: 'claimed', allocation: shared, grants: [found(7)] }
    broker.says = {
      ...claimedBefore(),
      Claim: message({ parameters }, 1),
      GetAllocation: message({ parameters: { allocation: shared, mappings: [ofHolder, ofNumber(7)] } }),
    }
    const driver = new Driver(language)
    expect(await driver.call('connect', { socket: broker.socket })).toEqual({ result: 'connected' })
    broker.script = { method: 'Claim', pieces: [raw('{"par', 1)], close: true, once: true }
    broker.calls.length = 0
    expect(idsOf(await driver.call('claim', { as: 'x', prefix: '' }))).toEqual([[7]])
    expect(broker.calls).not.toContain('CreateMapping')
    expect(broker.calls).not.toContain('RevokeMapping')
    broker.says = {}
    await driver.end()
  })

  test(`${language}: a claim that was cut off leaves the mappings of another connection of the process alone`, async () => {
    const driver = new Driver(language)
    const connected = async () =>
      expect(await driver.call('connect', { socket: broker.socket })).toEqual({ result: 'connected' })
    await connected()
    broker.says = {
      ...claimedBefore(7),
      CreateMapping: message({ parameters: { grant: found(7) } }, 1),
      Watch: message({ parameters: { mappings: [ofNumber(7)], snapshotEnd: true }, continues: true }),
    }
    expect((await driver.call('map', { as: 'm', name: 'x' })).error).toBeUndefined()
    await connected()
    broker.script = { method: 'Claim', pieces: [raw('{"par', 1)], close: true, once: true }
    broker.calls.length = 0
    expect(idsOf(await driver.call('claim', { as: 'x', prefix: '' }))).toEqual([[]])
    expect(broker.calls).not.toContain('CreateMapping')
    expect(broker.calls).not.toContain('RevokeMapping')
    broker.says = {}
    await driver.end()
  })

  test(`${language}: a take-over that was cut off and repeated has one descriptor for each mapping`, async () => {
    const joined = { ...held, holderPid: 41, successorPid: 42 }
    const parameters = { outcome: 'joined', allocation: joined, grants: [found(7)] }
    const driver = new Driver(language)
    expect(await driver.call('connect', { socket: broker.socket })).toEqual({ result: 'connected' })
    const claim = () => driver.call('claim', { as: 'x', prefix: '', takeOver: true })
    expect(idsOf(await claim())).toEqual([])
    const before = await openDescriptors(driver)
    broker.says = {
      Claim: message({ parameters }, 1),
      GetAllocation: message({ parameters: { allocation: joined, mappings: [ofNumber(7)] } }),
    }
    const begun = message({ parameters, continues: true }, 1)
    broker.script = { method: 'Claim', pieces: [begun, raw('{"par')], close: true, once: true }
    expect(idsOf(await claim())).toEqual([[7]])
    expect(await openDescriptors(driver)).toBe(before + 1)
    broker.says = {}
    await driver.end()
  })

  test(`${language}: a mapping that never came may have ended already, and may hold the place of the next one`, async () => {
    const limit = { error: 'io.membroker.Broker.LimitExceeded', parameters: { limit: 'x', max: 1 } }
    const gone = { error: 'io.membroker.Broker.NotFound', parameters: { kind: 'mapping', name: '8' } }
    const before = claimedBefore(8)
    for (const [says, calls] of [
      [{ RevokeMapping: message(gone) }, ['CreateMapping', 'RevokeMapping']],
      [
        {
          CreateMapping: () =>
            broker.calls.includes('RevokeMapping') ? before.CreateMapping : message(limit),
        },
        ['CreateMapping', 'RevokeMapping', 'CreateMapping'],
      ],
    ] as const) {
      broker.says = { ...before, ...says }
      const driver = new Driver(language)
      expect(await driver.call('connect', { socket: broker.socket })).toEqual({ result: 'connected' })
      broker.script = { method: 'Claim', pieces: [raw('{"par', 1)], close: true, once: true }
      broker.calls.length = 0
      expect(idsOf(await driver.call('claim', { as: 'x', prefix: '' }))).toEqual([[9]])
      expect(broker.calls.filter(name => /^(Create|Revoke)/.test(name))).toEqual(calls)
      broker.says = {}
      await driver.end()
    }
  })

  test(`${language}: a claim after one that failed brings the mappings that the failed one had`, async () => {
    broker.says = claimedBefore(7)
    const driver = new Driver(language)
    expect(await driver.call('connect', { socket: broker.socket })).toEqual({ result: 'connected' })
    const error = { error: 'io.membroker.Broker.LimitExceeded', parameters: { limit: 'x', max: 1 } }
    broker.script = { method: 'Claim', pieces: [first, message(error)], once: true }
    const claim = () => driver.call('claim', { as: 'x', prefix: '' })
    expect((await claim()).error?.code).toBe('LimitExceeded')
    expect(idsOf(await claim())).toEqual([[9]])
    broker.says = {}
    await driver.end()
  })
}
