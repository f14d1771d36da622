/** Proves that a program's handler that fails costs it a warning, and neither the guest nor the broker's answer. */
import { openSync } from 'node:fs'
import { type Broker, connect } from '../../src/client'
import { TestBroker, until } from '../support/test-broker'
import { Holder, outside } from './support/holder'
import { allocation, mapping, range } from './support/records'
import { ScriptedBroker } from './support/scripted-broker'

/** Makes a holder tell warnings instead of printing them, and leaves Node's end for unhandled rejections as it is. */
const tellWarnings = `
  process.removeAllListeners('warning').on('warning', ({ name, message }) => tell({ name, message }))`

const warning = (message: unknown) => ({ name: 'MembrokerWarning', message })

describe('a holder whose code fails', () => {
  let server: TestBroker

  beforeAll(async () => {
    server = await TestBroker.start({ main: { source: 'memfd', graceMs: 3_600_000 } })
  })
  afterAll(() => server.dispose())

  test.each([
    ['rejects with nothing', '() => Promise.reject()', 'undefined was thrown'],
    ['throws nothing', '() => { throw undefined }', 'undefined was thrown'],
    ['rejects with null', '() => Promise.reject(null)', 'null was thrown'],
    ['throws a symbol', '() => { throw Symbol("s") }', 'Symbol(s) was thrown'],
    ['rejects with a text', '() => Promise.reject("why")', 'why'],
    [
      'rejects with an object without a prototype',
      '() => Promise.reject(Object.create(null))',
      '[Object: null prototype] {} was thrown',
    ],
    [
      'throws what can not be looked at',
      '() => { throw { get message() { throw 1 } } }',
      'something was thrown that can not be shown',
    ],
    ['is no function', 'undefined', 'handler is not a function'],
  ])('a revoke handler that %s ends neither the process nor the revoke', async (_what, handler, message) => {
    // Proves that a defect in a VMM's handler costs a warning, not the guest, and that the broker has its answer at
    // once: the deadline is an hour away.
    const holder = new Holder(
      server.socket,
      `${tellWarnings}
      const mapping = await (await broker.allocate({ name: 'vm/ram', size: 4096 })).map()
      broker.on('mappingRevoked', (_end, failures) => tell({ revoked: failures.length }))
      mapping.onRevoke(${handler})
      tell(mapping.id)
      process.stdin.on('data', async () => { await (await broker.allocation('vm/ram')).release(); tell('released') })`,
    )
    try {
      const id = (await holder.next()) as number
      expect(await outside(server.socket, `tell(await broker.revoke(${id}))`)).toBe('revoked')
      expect([await holder.next(), await holder.next()]).toEqual(
        expect.arrayContaining([{ revoked: 1 }, warning(message)]),
      )
      holder.say('release')
      expect(await holder.next()).toBe('released')
    } finally {
      await holder.end()
    }
  })

  test('listeners that throw or reject end nothing, and the next ones still hear', async () => {
    // Proves it for every event of a connection: a revoke, a broker that restarts, and a mapping that did not survive it.
    const holder = new Holder(
      server.socket,
      `${tellWarnings}
      const events = ['mappingRevoked', 'disconnected', 'reconnected', 'mappingLost']
      for (const event of events) {
        broker.on(event, () => { throw new Error(event + ' throws') })
        broker.on(event, () => Promise.reject())
        broker.once(event, () => tell(event))
      }
      const ram = await broker.allocate({ name: 'vm/lost', size: 4096 })
      const mapping = await ram.map()
      const kept = await ram.map()
      tell(mapping.id)
      process.stdin.on('data', async () => {
        await broker.allocate({ name: 'vm/new', size: 4096 })
        tell([mapping.state, kept.state])
      })`,
    )
    const heard = async (...events: string[]) => {
      const expected = events.flatMap(event => [
        event,
        warning(`${event} throws`),
        warning('undefined was thrown'),
      ])
      const told: unknown[] = []
      while (told.length < expected.length) told.push(await holder.next())
      expect(told).toHaveLength(expected.length)
      expect(told).toEqual(expect.arrayContaining(expected))
    }
    try {
      const id = (await holder.next()) as number
      expect(await outside(server.socket, `tell(await broker.revoke(${id}))`)).toBe('revoked')
      await heard('mappingRevoked')
      await server.restart()
      await heard('disconnected', 'reconnected', 'mappingLost')
      holder.say('go on')
      expect(await holder.next()).toEqual(['closed', 'lost'])
    } finally {
      await holder.end()
    }
  })
})

describe('an acknowledgement', () => {
  let scripted: ScriptedBroker
  let broker: Broker
  let ask: () => void
  const warnings = jest.spyOn(process, 'emitWarning')

  beforeEach(async () => {
    warnings.mockReset()
    scripted = new ScriptedBroker()
    scripted.script
      .set('ListRanges', call => call.reply({ ranges: [range] }))
      .set('GetAllocation', call => call.reply({ allocation, mappings: [] }))
      .set('Watch', call => {
        call.replyMore({ mappings: [], snapshotEnd: true })
        ask = () => call.replyMore({ event: { sequence: 1, time: 0, kind: 'revokeRequested', mapping: 1 } })
      })
      .set('CreateMapping', call =>
        call.reply({ grant: { mapping, fileDescriptor: 0, mmapOffset: 0 } }, [openSync('/dev/zero', 'r')]),
      )
    broker = await connect({
      socket: scripted.socket,
      reconnect: { minDelayMs: 1, maxDelayMs: 5 },
    })
    await (await broker.allocation('x')).map()
  })
  afterEach(async () => {
    await broker.close()
    scripted.dispose()
  })
  afterAll(() => warnings.mockRestore())

  const told = () => scripted.calls.filter(method => method === 'RevokeMapping').length

  test('is repeated after a freeze and a broken connection, until the broker has it', async () => {
    // Proves that a revoke in the middle of a live update does not stay open because its answer came at a bad time.
    scripted.script.set('RevokeMapping', (call, responder) => {
      if (told() === 1) call.fail('io.membroker.Broker.Frozen', { reason: 'kexec' })
      else if (told() === 2) responder.close()
      else call.reply({ outcome: 'revoked', step: '' })
    })
    ask()
    await until(() => told() === 3, 'the third')
    await broker.status()
    expect(told()).toBe(3)
    expect(warnings).not.toHaveBeenCalled()
  })

  test('that the broker refuses for good is warned of, and not repeated', async () => {
    // Proves the other side: nothing goes on for ever in silence.
    scripted.script.set('RevokeMapping', call =>
      call.fail('io.membroker.Broker.PermissionDenied', { reason: 'not for you' }),
    )
    ask()
    await until(() => warnings.mock.calls.length > 0, 'the warning')
    await broker.status()
    expect(told()).toBe(1)
    expect(warnings.mock.calls).toEqual([
      [
        'not for you',
        { type: 'MembrokerWarning', detail: expect.stringContaining('BrokerError: not for you') },
      ],
    ])
  })
})
