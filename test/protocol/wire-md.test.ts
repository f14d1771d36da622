// Proves that WIRE.md says what the contract and the code say: every example is valid and a dialogue the broker could
// have, every method, error, event kind, limit and violation is there, and the signatures are the contract's.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BrokerMethodName, brokerErrorNames, brokerInterfaceName } from '../../protocol/generated/broker'
import { serviceInterfaceName } from '../../protocol/generated/service'
import * as service from '../../protocol/generated/service-validators'
import * as broker from '../../protocol/generated/validators'
import type { Enum, Struct } from '../../protocol/idl/ast'
import { parseInterface } from '../../protocol/idl/parser'
import { brokerInterface } from '../../protocol/interfaces'
import { methodTraits } from '../../protocol/methods'
import * as limits from '../../protocol/wire/limits'
import { encodeMessage } from '../../protocol/wire/message'
import type { Validator } from '../../protocol/wire/service'
import { RawClient } from '../support/raw-client'
import { TestBroker } from '../support/test-broker'
import { printType } from './idl/printer'

const protocol = join(__dirname, '../../protocol')
const text = readFileSync(join(protocol, 'WIRE.md'), 'utf8')
const contract = parseInterface(readFileSync(join(protocol, 'io.membroker.Broker.varlink'), 'utf8'))

function section(title: string): string {
  const found = text.split(/^## /m).find(part => part.startsWith(`${title}\n`))
  if (found === undefined) throw new Error(`no section '${title}'`)
  return found
}

/** Cells of each table row, without the rule, backticks removed; the head is the first. */
const rows = (part: string): string[][] =>
  [...part.matchAll(/^\|(.*)\|$/gm)]
    .map(match => match[1]!.split('|').map(cell => cell.replaceAll('`', '').trim()))
    .filter(cells => !cells.every(cell => /^-+$/.test(cell)))

/** Names of methods in the paragraph or list item that begins so. */
const methodsIn = (beginning: string): string[] => {
  const at = text.indexOf(beginning)
  if (at < 0) throw new Error(`nothing begins with '${beginning}'`)
  return [
    ...text.slice(at + beginning.length, text.indexOf('.', at + beginning.length)).matchAll(/`(\w+)`/g),
  ].map(match => match[1]!)
}

const cards = new Map(
  section('Methods')
    .split(/^### /m)
    .slice(1)
    .map(card => [card.slice(0, card.indexOf('\n')), card] as const),
)

const errorsOf = (method: string): string[] =>
  [.../^- Errors: (.*)$/m.exec(cards.get(method)!)![1]!.matchAll(/`(\w+)`/g)].map(match => match[1]!)

const validators = (qualified: string): { in?: Validator; out?: Validator; error?: Validator } => {
  const dot = qualified.lastIndexOf('.')
  const name = qualified.slice(dot + 1)
  const tables = { [brokerInterfaceName]: broker, [serviceInterfaceName]: service }[qualified.slice(0, dot)]
  const pick = (table: unknown) => (table as Record<string, Validator>)[name]!
  if (tables === undefined) throw new Error(`no interface of ${qualified}`)
  return { in: pick(tables.validateIn), out: pick(tables.validateOut), error: pick(tables.validateError) }
}

interface Line {
  readonly from: '>' | '<'
  readonly fds: number
  readonly message: Record<string, unknown>
}

const examples = [...text.matchAll(/^```wire\n([\s\S]*?)^```$/gm)].map(block =>
  block[1]!
    .trimEnd()
    .split('\n')
    .map((line): Line => {
      const [, from, fds, json] = /^([<>]) (?:\+(\d+)fd )?(\{.*\})\\0$/.exec(line) ?? []
      if (json === undefined) throw new Error(`not an example line: ${line}`)
      const message = JSON.parse(json)
      expect(encodeMessage(message).toString()).toBe(`${json}\0`)
      return { from: from as '>' | '<', fds: Number(fds ?? 0), message }
    }),
)

const named = (value: unknown): number[] => {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, entry]) => (key === 'fileDescriptor' ? [entry] : named(entry)))
}

function checkDialogue(lines: readonly Line[]): void {
  let call: Record<string, unknown> | undefined
  let finished = true
  for (const { from, fds, message } of lines) {
    const { parameters = {}, error, continues } = message
    if (from === '>') {
      expect({ message, finished, fds }).toEqual({ message, finished: true, fds: 0 })
      call = message
      finished = false
      continue
    }
    expect(finished).toBe(false)
    const { method, more } = call!
    if (error === undefined) {
      expect({ parameters, valid: validators(method as string).out!(parameters) }).toEqual({
        parameters,
        valid: true,
      })
    } else {
      expect({ parameters, valid: validators(error as string).error!(parameters) }).toEqual({
        parameters,
        valid: true,
      })
    }
    if (continues === true) expect(more).toBe(true)
    finished = continues !== true
    expect(named(parameters)).toEqual(Array.from({ length: fds }, (_, index) => index))
    const wrongInput = error === `${serviceInterfaceName}.InvalidParameter`
    expect(validators(method as string).in!(call!.parameters ?? {})).toBe(!wrongInput)
  }
  // Only what never ends may be left unfinished.
  const method = String(call!.method).replace(`${brokerInterfaceName}.`, '')
  if (!finished) expect(cards.get(method)).toContain('never ends by itself')
}

test.each(examples.map((lines, index) => [index, String(lines[0]!.message.method), lines] as const))(
  'example %d, %s, is a valid dialogue',
  (_, __, lines) => checkDialogue(lines),
)

describe('cards', () => {
  test('one for each method, in the order of the contract', () => {
    expect([...cards.keys()]).toEqual(contract.methods.map(({ name }) => name))
  })

  test.each(contract.methods.map(method => [method.name, method] as const))('%s', (name, method) => {
    const card = cards.get(name)!
    const [, signature] = /```varlink\n([\s\S]*?)```/.exec(card)!
    const squash = (part: string) => part.replace(/\s+/g, '')
    expect(squash(signature!)).toBe(
      squash(`method ${name}${printType(method.in)} -> ${printType(method.out)}`),
    )
    expect(card).toMatch(/^- Descriptors: ./m)
    expect(card).toContain(`"method":"${brokerInterfaceName}.${name}"`)
    const returnsFd = JSON.stringify(method.out).includes('"Grant"')
    expect(/^- Descriptors: none$/m.test(card)).toBe(!returnsFd)
    for (const error of errorsOf(name)) expect(brokerErrorNames).toContain(error)
    const lines = examples.find(
      block =>
        block[0]!.message.method === `${brokerInterfaceName}.${name}` &&
        card.includes(JSON.stringify(block[0]!.message)),
    )!
    lines.forEach(({ message: { error } }, index) => {
      if (typeof error !== 'string') return
      const caller = lines.slice(0, index).findLast(({ from }) => from === '>')!.message.method as string
      expect(errorsOf(caller.slice(brokerInterfaceName.length + 1))).toContain(
        error.slice(brokerInterfaceName.length + 1),
      )
    })
  })

  test('each error is on some card', () => {
    const mentioned = [...cards.values()].map(card => /^- Errors: (.*)$/m.exec(card)![1]!).join()
    for (const name of brokerErrorNames) expect(mentioned).toContain(`\`${name}\``)
  })

  test('those that need more say so', () => {
    for (const [name, { streams }] of brokerInterface.methods) {
      if (streams) expect(cards.get(name as BrokerMethodName)).toContain('Needs `more`')
    }
  })
})

test('the errors, with their parameters', () => {
  const described = rows(section('Errors')).slice(1)
  expect(described.map(([name, parameters]) => [name, parameters])).toEqual(
    contract.errors.map(({ name, parameters }) => [name, printType(parameters)]),
  )
})

test('the event kinds, with fields an event has', () => {
  const event = contract.types.find(({ name }) => name === 'Event')!.type as Struct
  const kinds = event.fields.find(({ name }) => name === 'kind')!.type as Enum
  const described = rows(section('Events')).slice(1)
  expect(described.map(([kind]) => kind)).toEqual(kinds.values)
  const fields = new Set(event.fields.map(({ name }) => name))
  for (const [kind, , listed] of described) {
    const names = listed!.replace(/\(.*?\)/g, '').split(/,| or | and /)
    for (const name of names)
      expect({ kind, field: name.trim(), known: fields.has(name.trim()) }).toMatchObject({ known: true })
  }
})

test('the limits, with their values', () => {
  const described = rows(section('Limits')).slice(1)
  const values = Object.entries(limits).filter(([, value]) => typeof value === 'number')
  expect(described).toHaveLength(values.length)
  expect(Object.fromEntries(described.map(([name, value]) => [name, Number(value)]))).toEqual(
    Object.fromEntries(values),
  )
  for (const [name] of text.matchAll(/(?<=`)\w+Max(?=`)/g)) {
    if (!/^(bytes|allocations|mappings|clients|state)/.test(name)) expect(Object.keys(limits)).toContain(name)
  }
})

test('every violation the code knows, in its words', () => {
  const known = ['wire/message.ts', 'wire/responder.ts'].flatMap(file =>
    [
      ...readFileSync(join(protocol, file), 'utf8').matchAll(/ProtocolViolation\(\s*[`'](.*?)[`'],?\s*\)/g),
    ].map(match => match[1]!.replace(/\$\{flag\}/, 'F').replace(/\$\{.*?\}/g, 'N')),
  )
  expect(known.length).toBeGreaterThan(10)
  const described = rows(section('What costs the connection')).map(([reason]) => reason)
  expect(described.slice(1).sort()).toEqual([...new Set(known)].sort())
})

test('GetInfo is answered as it is shown, but for the version', async () => {
  const broker = await TestBroker.start()
  try {
    const client = new RawClient(broker.socket)
    client.send('{"method":"org.varlink.service.GetInfo"}\0')
    const [reply] = await client.untilReplies(1)
    client.socket.close()
    const [, shown] = /GetInfo"\}\\0\n< (.*)\\0\n/.exec(text)!
    const { parameters } = JSON.parse(shown!)
    expect({ ...reply!.parameters, version: parameters.version }).toEqual(parameters)
  } finally {
    await broker.dispose()
  }
})

test('links lead to sections', () => {
  const anchors = [...text.matchAll(/^#+ (.*)$/gm)].map(match =>
    match[1]!
      .toLowerCase()
      .replace(/[^a-z0-9 -]/g, '')
      .replaceAll(' ', '-'),
  )
  for (const [, anchor] of text.matchAll(/\]\(#(.*?)\)/g)) expect(anchors).toContain(anchor)
})

test('the largest allocation and mapping are as long as the limits say', () => {
  const number = Number.MAX_SAFE_INTEGER
  const name = '"'.repeat(limits.nameBytesMax)
  const metadata = { x: 'x'.repeat(limits.metadataBytesMax - '{"x":""}'.length) }
  const numbers = {
    id: number,
    uid: number,
    bytes: number,
    alignBytes: number,
    mappings: number,
    holderPid: number,
  }
  const allocation = {
    ...numbers,
    name,
    range: name,
    extents: Array(limits.extentsPerAllocationMax).fill({ offset: number, length: number }),
    metadata,
    secret: false,
    shares: Array(limits.sharesPerAllocationMax).fill({ uid: 2 ** 32 - 1, access: 'readWrite' }),
    verdict: 'unverified',
  }
  const mapping = {
    id: number,
    allocation: name,
    offset: number,
    length: number,
    access: 'readWrite',
    guestAddress: number,
    metadata,
    uid: number,
    pid: number,
    state: 'revoking',
  }
  const bytes = (value: object) => encodeMessage(value).length
  expect(broker.validateOut.GetAllocation({ allocation, mappings: [mapping] })).toBe(true)
  expect(bytes(allocation)).toBeLessThan(limits.allocationJsonBytesMax)
  expect(bytes(mapping)).toBeLessThan(limits.mappingJsonBytesMax)
  expect(
    bytes({ parameters: { allocations: Array(limits.listAllocationsMax).fill(allocation) } }),
  ).toBeLessThan(limits.replyBytesMax)
})

test('a call with everything at its limit fits, even with every character escaped', () => {
  const escaped = (bytes: number) => '\\u0078'.repeat(bytes)
  const { nameBytesMax, secretBytesMax, metadataBytesMax } = limits
  const call = `{"name":"${escaped(nameBytesMax)}","secret":"${escaped(secretBytesMax)}","metadata":{"x":"${escaped(metadataBytesMax)}"}}`
  expect(JSON.parse(call).name).toHaveLength(nameBytesMax)
  expect(call.length).toBeLessThan(limits.messageBytesMax)
})

test('what the console never may is what the code refuses', () => {
  const never = Object.entries(methodTraits).filter(([, traits]) => traits.console === 'never')
  expect(methodsIn('It holds nothing and gets no descriptor: the broker refuses').sort()).toEqual(
    never.map(([method]) => method).sort(),
  )
})
