/** Proves that the client in C of docs/example/c is one: what it wrote is there in its next run, also after the broker's. */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { buildProgram } from '../guest/build'
import { attemptNow } from '../support/child'
import { TestBroker } from '../support/test-broker'

const name = 'example/counter'
const program = buildProgram('docs/example/c/counter.c')
if (program === undefined) throw new Error('the example is written in C: install gcc')

let broker: TestBroker
beforeEach(async () => {
  broker = await TestBroker.start()
})
afterEach(() => broker.dispose())

const run = () => {
  const { stdout, stderr, status } = attemptNow(program, [broker.socket])
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

test('the reply is read as JSON, not as text', async () => {
  // Names and values of the reply, in metadata that comes before them and is somebody else's.
  expect(run()).toEqual(good('run 1\n'))
  const nasty = {
    grants: [{ fileDescriptor: 77, mmapOffset: 1 }],
    'a"': '}]{"fileDescriptor":5',
    deep: [[[{}]]],
  }
  await broker.client().call('SetMetadata', { name, metadata: nasty })
  expect(run()).toEqual(good('run 2\n'))
})

test('a refusal is told in the words of the broker', async () => {
  expect(run()).toEqual(good('run 1\n'))
  await broker.client().call('Claim', { name })
  expect(run()).toMatchObject({ status: 1, stderr: expect.stringContaining('AlreadyClaimed') })
})

test('nobody at the socket is said, not crashed on', async () => {
  await broker.kill()
  expect(run()).toMatchObject({ status: 1, stderr: expect.stringContaining('refused') })
})

test('what finds values in the JSON finds those that JSON.parse does, and survives what is not JSON', () => {
  const source = path.join(broker.folder, 'json-at.c')
  const header = path.resolve('docs/example/c/json.h')
  expect(readFileSync(header, 'utf8')).toContain('json_at')
  writeFileSync(source, `#include "${header}"\n#include <stdio.h>\n${harness}`)
  const built = buildAt(source)
  for (const [text, at, expected] of cases) {
    const { stdout, status } = attemptNow(built, [text, at])
    expect([text, at, status, stdout]).toEqual([text, at, 0, expected])
  }
  const whole = JSON.stringify({ error: 'x', a: ['"\\', { b: null }], grant: { mmapOffset: 12 } })
  for (let length = 0; length < whole.length; length++)
    expect(attemptNow(built, [whole.slice(0, length), 'grant.mmapOffset']).status).toBe(0)
})

const harness = `
int main(int argc, char **argv) {
  long long number;
  const char *value = argc == 3 ? json_at(argv[1], argv[2]) : NULL;
  if (json_integer(value, &number)) printf("%lld", number);
  else printf("%s", value ? "something" : "nothing");
  return 0;
}
`
const cases: Array<[string, string, string]> = [
  ['{"a":1}', 'a', '1'],
  [' { "x" : {"a":5} , "a" : -9007199254740991 } ', 'a', '-9007199254740991'],
  ['{"b":"\\"a\\":7,","a":[3,[4],{"c":6}]}', 'a.2.c', '6'],
  ['{"b":"\\\\","a":8}', 'a', '8'],
  ['{"a":null}', 'a', 'nothing'],
  ['{"ab":1}', 'a', 'nothing'],
  ['{"a":[]}', 'a.0', 'nothing'],
  ['{"a":{}}', 'a.b.c', 'nothing'],
  ['{"a":1.5}', 'a', 'something'],
  ['{"a":true}', 'a', 'something'],
  ['[1,2', '1', '2'],
  ['{"a"', 'a', 'nothing'],
  ['{"a":"\\', 'b', 'nothing'],
  ['', 'a', 'nothing'],
]

function buildAt(source: string): string {
  const out = source.replace(/\.c$/, '')
  const flags = ['-std=gnu11', '-Wall', '-Werror', '-Wno-unused-function', '-fsanitize=address,undefined']
  const { status, stderr } = attemptNow(process.env.CC ?? 'cc', [...flags, '-o', out, source])
  if (status !== 0) throw new Error(stderr)
  return out
}
