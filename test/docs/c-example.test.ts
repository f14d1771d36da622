/** Proves that the client in C of docs/example/c is one: what it wrote is there in its next run, also after the broker's. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { buildWithLibrary } from '../guest/build'
import { attemptNow } from '../support/child'
import { TestBroker, until } from '../support/test-broker'

const name = 'example/counter'
const program = buildWithLibrary('docs/example/c/counter.c', 'counter')!
if (program === undefined) throw new Error('the example is written in C: install gcc')

let broker: TestBroker
beforeEach(async () => {
  broker = await TestBroker.start()
})
afterEach(() => broker.dispose())

const run = () => {
  const { stdout, stderr, status } = attemptNow(program, [], { env: { MEMBROKER_SOCKET: broker.socket } })
  return { stdout, stderr, status }
}
const good = (stdout: string) => ({ stdout, stderr: '', status: 0 })

test('each run finds what the run before has written', async () => {
  expect(run()).toEqual(good('run 1\n'))
  expect(run()).toEqual(good('run 2\n'))
  await broker.restart()
  expect(run()).toEqual(good('run 3\n'))
})

test('a mapping that was given up is made anew', async () => {
  expect(run()).toEqual(good('run 1\n'))
  const client = broker.client()
  const { mappings } = await client.call('GetAllocation', { name })
  await client.call('RevokeMapping', { mapping: mappings[0]!.id })
  expect(run()).toEqual(good('run 2\n'))
})

test('it gives the memory back when it is asked', async () => {
  const child = spawn(program, ['stay'], {
    env: { MEMBROKER_SOCKET: broker.socket },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    said += text
  })
  await until(() => said.includes('run 1'), 'it has its memory')
  const client = broker.client()
  const { mappings } = await client.call('GetAllocation', { name })
  const exit = once(child, 'exit')
  expect(await client.call('RevokeMapping', { mapping: mappings[0]!.id, graceMs: 100_000 })).toMatchObject({
    outcome: 'revoked',
  })
  expect(await exit).toEqual([0, null])
  expect(said).toMatch(/^run 1\nasked to give the memory back within \d+ ms\n$/)
})

test('a refusal is told in the words of the broker', async () => {
  expect(run()).toEqual(good('run 1\n'))
  await broker.client().call('Claim', { name })
  expect(run()).toMatchObject({ status: 1, stderr: expect.stringContaining('AlreadyClaimed') })
})

test('nobody at the socket is said, not crashed on', async () => {
  await broker.kill()
  expect(run()).toMatchObject({ status: 1, stderr: expect.stringContaining('BrokerUnreachable') })
})
