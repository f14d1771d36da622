// Proves that org.varlink.service answers as its specification says, and that only well-formed calls of known methods
// get past it.

import { Caller } from '../../../protocol/wire/caller'
import { responderLimits } from '../../../protocol/wire/limits'
import { Responder } from '../../../protocol/wire/responder'
import { type InterfaceDescription, Service, type Validator } from '../../../protocol/wire/service'
import { atOnce, channelPair } from './memory-channel'

const anything: Validator = () => true
const wantsName: Validator = value => {
  const { name } = value as { name?: unknown }
  wantsName.errors = [{ instancePath: '', params: { missingProperty: 'name' } }]
  return typeof name === 'string'
}

const interfaces: InterfaceDescription[] = [
  {
    name: 'org.varlink.service',
    description: 'interface org.varlink.service',
    methods: new Map([
      ['GetInfo', { validateIn: anything, streams: false }],
      ['GetInterfaceDescription', { validateIn: anything, streams: false }],
    ]),
  },
  {
    name: 'a.b',
    description: 'interface a.b',
    methods: new Map([
      ['Plain', { validateIn: wantsName, streams: false }],
      ['Stream', { validateIn: anything, streams: true }],
    ]),
  },
]

const info = { vendor: 'v', product: 'p', version: '1', url: 'u' }

async function ask(method: string, parameters: object, more = false) {
  const { near, far, ledger, pump } = channelPair()
  const service = new Service(info, interfaces)
  new Responder(far.open, {
    closeFd: ledger.close,
    limits: responderLimits,
    turns: atOnce,
    onHeld: () => true,
    onCall: call => {
      const route = service.route(call)
      if (route !== undefined) call.reply({ route })
    },
    onClose: () => {},
  })
  const caller = new Caller(near.open, { closeFd: ledger.close, onClose: () => {} })
  const reply = more ? caller.stream(method, parameters).next() : caller.call(method, parameters)
  pump()
  return reply.then(
    value => ('value' in value ? value.value.parameters : value.parameters),
    ({ error, parameters }) => ({ error, parameters }),
  )
}

test('GetInfo names the service and its interfaces', async () => {
  expect(await ask('org.varlink.service.GetInfo', {})).toEqual({
    ...info,
    interfaces: ['org.varlink.service', 'a.b'],
  })
})

test('GetInterfaceDescription gives the text, or InterfaceNotFound', async () => {
  const method = 'org.varlink.service.GetInterfaceDescription'
  expect(await ask(method, { interface: 'a.b' })).toEqual({ description: 'interface a.b' })
  for (const name of ['a.c', '__proto__', 'constructor', '']) {
    expect(await ask(method, { interface: name })).toEqual({
      error: 'org.varlink.service.InterfaceNotFound',
      parameters: { interface: name },
    })
  }
})

test('a known method is routed', async () => {
  expect(await ask('a.b.Plain', { name: 'x' })).toEqual({ route: { interface: 'a.b', method: 'Plain' } })
  expect(await ask('a.b.Stream', {}, true)).toEqual({ route: { interface: 'a.b', method: 'Stream' } })
})

test.each([
  ['a.b.Nothing', 'MethodNotFound', { method: 'a.b.Nothing' }],
  ['a.b.__proto__', 'MethodNotFound', { method: 'a.b.__proto__' }],
  ['a.c.Plain', 'InterfaceNotFound', { interface: 'a.c' }],
  ['Plain', 'InterfaceNotFound', { interface: '' }],
  ['', 'InterfaceNotFound', { interface: '' }],
  ['a.b.Plain', 'InvalidParameter', { parameter: 'name' }],
  ['a.b.Stream', 'ExpectedMore', {}],
])('%s: %s', async (method, error, parameters) => {
  expect(await ask(method, {})).toEqual({ error: `org.varlink.service.${error}`, parameters })
})
