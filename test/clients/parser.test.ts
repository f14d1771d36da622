/**
 * Proves that the clients in C and Python take the same bytes for a message as the broker and the TypeScript library do, and that the C
 * code reads none beyond them: random changes of the specification's examples, the same for the same seed.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { methodTraits } from '../../protocol/methods'
import { parseMessage } from '../../protocol/wire/message'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'
import { Seeded } from '../support/seeded'
import { buildSanitized, sanitizedEnvironment } from './build-driver'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const count = Number(process.env.MESSAGES ?? 20_000)

const read = (file: string) => readFileSync(path.join(packageRoot, file), 'utf8')
const examples = [...read('protocol/WIRE.md').matchAll(/^[<>] (?:\+1fd )?(\{.*\})\\0$/gm)].map(match =>
  Buffer.from(match[1]!),
)

/** What an attacker tries, and what JSON's rules are about. */
const pieces = [
  ...[
    '"',
    '\\',
    '\\u',
    '\\ud800',
    '\\udc00',
    '\\u0000',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    ' ',
    '\t',
    '\n',
    'null',
    'true',
    'fals',
    '-',
    '0',
    '1e5',
  ],
  ...[
    '.',
    '1e400',
    '9007199254740992',
    '-0',
    '01',
    'é',
    '\u2028',
    '😀',
    '\ufeff',
    '{"a":',
    '[[[[[[[[',
    '"fileDescriptor":0',
    '\x01',
    '\x7f',
  ],
].map(text => Buffer.from(text))
const bytes = [0x80, 0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xef, 0xf4, 0xf5, 0xff].map(byte => Buffer.from([byte]))

function mutated(random: Seeded): Buffer {
  let message = random.pick(examples)
  const changes = random.below(4)
  for (let change = 0; change < changes; change++) {
    const at = random.below(message.length + 1)
    const end = Math.min(message.length, at + [0, 0, 1, random.below(20)][random.below(4)]!)
    const inserted = random.below(5) === 0 ? random.pick(bytes) : random.pick(pieces)
    const piece = random.below(6) === 0 ? message.subarray(at, at + random.below(200)) : inserted
    message = Buffer.concat([message.subarray(0, at), piece, message.subarray(end)])
  }
  if (random.below(20) === 0) message = message.subarray(0, random.below(message.length + 1))
  if (random.below(50) === 0)
    message = Buffer.concat([
      Buffer.from('{"a":'.repeat(60 + random.below(8))),
      message,
      Buffer.from('}'.repeat(64)),
    ])
  // Of a member that occurs twice, the libraries in TypeScript and Python see the last value only; C sees all.
  const hidden =
    /\\ud800(?!\\udc00)|(?<!\\ud800)\\udc00/.test(message.toString('latin1')) && isMessage(message)
  return hidden || message.includes(0) ? Buffer.alloc(0) : message
}

function isMessage(message: Buffer): boolean {
  try {
    parseMessage(message)
    return true
  } catch {
    return false
  }
}

const random = new Seeded(seed)
const messages = Array.from({ length: count }, () => mutated(random))
const input = messages
  .map(
    message => `${message.toString('hex')}
`,
  )
  .join('')
const expected = messages.map(isMessage)

const inPython = `
import sys
import membroker
def good(message):
    try:
        membroker._parse(message)
        return True
    except ValueError:
        return False
for line in sys.stdin:
    print("1" if good(bytes.fromhex(line)) else "0", end="")
`

const parsers: Array<[string, () => [string, string[]]]> = [
  ['C', () => [buildSanitized('parser.c'), []]],
  ['Python', () => ['python3', ['-c', inPython]]],
]

test('the examples are messages, and the changed ones are some of each', () => {
  expect(examples.length).toBeGreaterThan(60)
  expect(examples.filter(example => !isMessage(example))).toEqual([])
  expect(expected.filter(good => good).length).toBeGreaterThan(count / 10)
  expect(expected.filter(good => !good).length).toBeGreaterThan(count / 10)
})

for (const [language, command] of parsers) {
  test(`${language} takes the same bytes for a message (SEED=${seed} MESSAGES=${count})`, () => {
    const [file, args] = command()
    const env = { ...sanitizedEnvironment, PYTHONPATH: path.join(packageRoot, 'native/lib') }
    const { status, stdout, stderr } = attemptNow(file, args, { input, env })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const wrong = expected.flatMap((good, index) =>
      stdout[index] === (good ? '1' : '0') ? [] : [messages[index]!.toString('latin1')],
    )
    expect(wrong).toEqual([])
    expect(stdout).toHaveLength(count)
  })
}

test('the libraries repeat the methods that protocol/methods.ts says may be repeated', () => {
  const harmless = Object.entries(methodTraits)
    .filter(([, { repeat, more }]) => repeat !== 'never' && more !== 'always')
    .map(([name]) => name)
    .sort()
  const inC = /repeatable\[\] = \{([^}]*)\}/.exec(read('native/lib/src/calls.c'))![1]!
  expect([...inC.matchAll(/"(\w+)"/g)].map(match => match[1]!).sort()).toEqual(harmless)
  const inPython = /_REPEATABLE = frozenset\(\n([\s\S]*?)\.split/.exec(read('native/lib/membroker.py'))![1]!
  expect(inPython.match(/\w+/g)!.sort()).toEqual(harmless)
})
