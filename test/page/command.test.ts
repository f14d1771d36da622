/**
 * Proves that the prompt takes the verbs of broker-ctl with their arguments, sends what they mean, refuses what is no
 * command before anything is sent, and completes verbs, options and names.
 */

import type { Command } from 'commander'
import { buildProgram } from '../../src/client/ctl/program'
import { complete } from '../../src/page/command/complete'
import { arity, runCommand, usageOf, verbs } from '../../src/page/command/verbs'
import { parseArguments, quoteWord, splitWords, UsageError } from '../../src/page/command/words'

interface Sent {
  method: string
  parameters: unknown
}

/** Records calls, and answers each with the replies given. */
function recorder(...replies: unknown[]) {
  const sent: Sent[] = []
  const said: string[] = []
  const context = {
    say: (line: string) => said.push(line),
    link: {
      call: async (method: string, parameters: unknown) => {
        sent.push({ method, parameters })
        return replies[0]
      },
      stream: async (method: string, parameters: unknown, onReply: (reply: unknown) => void) => {
        sent.push({ method, parameters })
        for (const reply of replies) onReply(reply)
      },
    },
  }
  return { sent, said, run: (line: string) => runCommand(line, context as never) }
}

const allocation = {
  id: 3,
  name: 'vm-42/ram',
  range: 'main',
  uid: 107,
  bytes: 4096,
  alignBytes: 4096,
  extents: [{ offset: 0, length: 4096 }],
  secret: false,
  shares: [{ uid: 108, access: 'read' }],
  mappings: 0,
  verdict: 'intact',
}

test('words are split as a shell would', () => {
  expect(splitWords(`  freeze "kexec into \\"7.2\\"" 'a b'\\ c --x=1 ''`)).toEqual([
    'freeze',
    'kexec into "7.2"',
    'a b c',
    '--x=1',
    '',
  ])
  expect(() => splitWords("release 'vm")).toThrow(UsageError)
  for (const word of ['plain', 'with blank', "it's", 'a"b', ''])
    expect(splitWords(quoteWord(word))).toEqual([word])
})

test('options may stand anywhere, take values in both ways, and end at --', () => {
  const spec = { '--range': '<range>', '--contiguous': '' }
  expect(parseArguments(['a', '--range', 'r', '--contiguous', '1M'], spec)).toEqual({
    positional: ['a', '1M'],
    options: new Map([
      ['--range', 'r'],
      ['--contiguous', ''],
    ]),
  })
  expect(parseArguments(['--range=a=b', '--', '--contiguous'], spec)).toEqual({
    positional: ['--contiguous'],
    options: new Map([['--range', 'a=b']]),
  })
  for (const wrong of [['--none'], ['--range'], ['--contiguous=1']])
    expect(() => parseArguments(wrong, spec)).toThrow(UsageError)
})

test.each([
  ['status', undefined],
  ['list vm-', { method: 'ListAllocations', parameters: { prefix: 'vm-', limit: 256 } }],
  ['show vm-42/ram', { method: 'GetAllocation', parameters: { name: 'vm-42/ram' } }],
  [
    'allocate vm-42/ram 4G --owner 107 --align 2M --range main --node 1 --contiguous --metadata \'{"a":1}\'',
    undefined,
  ],
  ['grow vm-42/ram 8G', { method: 'Grow', parameters: { name: 'vm-42/ram', bytes: 2 ** 33 } }],
  ['share vm-42/ram 107', { method: 'Share', parameters: { name: 'vm-42/ram', uid: 107, access: 'read' } }],
  ['share a 107 --write', { method: 'Share', parameters: { name: 'a', uid: 107, access: 'readWrite' } }],
  ['unshare a 107', { method: 'Share', parameters: { name: 'a', uid: 107, access: null } }],
  ['set-metadata a --remove', { method: 'SetMetadata', parameters: { name: 'a', metadata: null } }],
  [
    `set-metadata a '{"vm":"web 3"}'`,
    { method: 'SetMetadata', parameters: { name: 'a', metadata: { vm: 'web 3' } } },
  ],
  ['freeze', { method: 'Freeze', parameters: {} }],
  [
    'freeze "kexec into 7.2" --digests',
    { method: 'Freeze', parameters: { reason: 'kexec into 7.2', digests: true } },
  ],
  ['thaw', { method: 'Thaw', parameters: {} }],
  ['log-level debug', { method: 'SetLogLevel', parameters: { level: 'debug' } }],
  [
    'poison mark a --offset 0x1000 --length 4K',
    { method: 'MarkPoisoned', parameters: { name: 'a', offset: 4096, length: 4096 } },
  ],
  [
    'poison mark --range main --offset 2M --length 2M',
    { method: 'MarkPoisoned', parameters: { range: 'main', offset: 2 ** 21, length: 2 ** 21 } },
  ],
  ['poison list', { method: 'ListPoisoned', parameters: {} }],
])('%s', async (line, expected) => {
  const { sent, run } = recorder({
    allocation,
    mappings: [],
    allocations: [allocation],
    poisoned: [],
    usage: [],
    retired: [],
    outcome: 'frozen',
    startedAt: 0,
    frozen: null,
  })
  await run(line)
  if (expected) expect(sent).toEqual([expected])
  else if (line.startsWith('allocate'))
    expect(sent).toEqual([
      {
        method: 'Allocate',
        parameters: {
          name: 'vm-42/ram',
          bytes: 2 ** 32,
          uid: 107,
          alignBytes: 2 ** 21,
          range: 'main',
          node: 1,
          contiguous: true,
          metadata: { a: 1 },
        },
      },
    ])
  else expect(sent).toHaveLength(1)
})

test('release and revoke take several, tell their steps and how it ended', async () => {
  const { sent, said, run } = recorder(
    { outcome: 'pending', step: 'asked process 1' },
    { outcome: 'released', step: 'scrubbed and free' },
  )
  expect(await run('release a b --grace-ms 50')).toBe('a: released\nb: released')
  expect(sent.map(({ parameters }) => parameters)).toEqual([
    { name: 'a', graceMs: 50 },
    { name: 'b', graceMs: 50 },
  ])
  expect(said).toEqual(['a: asked process 1', 'b: asked process 1'])
})

test.each([
  'nonsense',
  'constructor',
  'status now',
  'show',
  'grow a',
  'grow a large',
  'share a root',
  'set-metadata a [1]',
  'set-metadata a',
  'release',
  'revoke a',
  'list --all',
  'poison mark a --offset 1',
  'poison',
  'poison mark --offset 1 --length 1',
  'help nonsense',
  "show 'a",
])('%s is refused before anything is sent', async line => {
  const { sent, run } = recorder({})
  await expect(run(line)).rejects.toThrow(UsageError)
  expect(sent).toEqual([])
})

test('help lists every verb, and one verb in full', async () => {
  const { run } = recorder()
  const text = await run('help')
  for (const verb of Object.keys(verbs)) expect(text).toContain(verb)
  expect(await run('help grow')).toBe(`${usageOf('grow')}\n${verbs.grow!.summary}`)
})

test('every verb is one of broker-ctl, with as many arguments and options of the same names', () => {
  const program = buildProgram()
  const find = (name: string) =>
    name
      .split(' ')
      .reduce<Command | undefined>(
        (noun, word) => noun?.commands.find(command => command.name() === word),
        program,
      )
  const shared = Object.keys(verbs).filter(name => name !== 'help')
  for (const name of shared) {
    const command = find(name)
    if (!command) throw new Error(`broker-ctl has no ${name}`)
    const { registeredArguments } = command
    const least = registeredArguments.filter(argument => argument.required).length
    const most = registeredArguments.some(argument => argument.variadic)
      ? Number.POSITIVE_INFINITY
      : registeredArguments.length
    expect({ name, ...arity(verbs[name]!.usage) }).toEqual({ name, least, most })
    const options = command.options.map(({ long }) => long)
    expect(options).toEqual(expect.arrayContaining(Object.keys(verbs[name]!.options ?? {})))
  }
})

test('completion: verbs, options, names, and as far as it is certain', () => {
  const names = { allocations: ['vm-1/ram', 'vm-1/rom', 'vm 2'], ranges: ['main'], mappings: [17, 18, 20] }
  const lineOf = (line: string) => complete(line, names).line
  expect(lineOf('stat')).toBe('status ')
  expect(complete('re', names)).toEqual({
    line: 're',
    candidates: expect.arrayContaining(['release', 'revoke']),
  })
  expect(lineOf('release v')).toBe('release vm')
  expect(lineOf('release vm-')).toBe('release vm-1/r')
  expect(lineOf('release vm-1/ra')).toBe('release vm-1/ram ')
  expect(lineOf('release x vm-1/ra')).toBe('release x vm-1/ram ')
  expect(lineOf("show 'vm\\ ")).toBe("show 'vm\\ ")
  expect(lineOf('revoke 2')).toBe('revoke 20 ')
  expect(lineOf('allocate v')).toBe('allocate v')
  expect(lineOf('allocate a 1M --r')).toBe('allocate a 1M --range ')
  expect(lineOf('allocate a 1M --range m')).toBe('allocate a 1M --range main ')
  expect(lineOf('poi')).toBe('poison ')
  expect(lineOf('poison m')).toBe('poison mark ')
  expect(lineOf('poison mark vm-1/ra')).toBe('poison mark vm-1/ram ')
  expect(lineOf('nonsense x')).toBe('nonsense x')
  expect(
    complete('show ', { ...names, allocations: Array.from({ length: 1000 }, (_, i) => `a${i}`) }).candidates
      .length,
  ).toBeLessThan(100)
})
