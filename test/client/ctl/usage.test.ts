/**
 * Proves that broker-ctl refuses wrong arguments of every verb before it connects, names the argument and the command that
 * explains it, and does so for programs with one JSON object and nothing else.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { attempt } from '../../support/child'
import { packageRoot } from '../../support/package-root'
import { ctl } from '../support/ctl'

let folder: string
let nobody: string

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-usage-'))
  nobody = path.join(folder, 'no.sock')
})
afterAll(() => rmSync(folder, { recursive: true }))

const secret = ['--secret-file', '/no/secret']

test.each<[words: string[], verb: string, sentence: RegExp]>([
  [['allocate', 'a', '4Q'], 'allocate', /'4Q' is invalid for argument 'size'/],
  [['allocate', 'a', '4G', '--align', 'x'], 'allocate', /'--align <size>' argument 'x' is invalid/],
  [['allocate', 'a', '4G', '--metadata', '[1]'], 'allocate', /'--metadata <json>' .* JSON object/],
  [
    ['allocate', 'a', '4G', ...secret],
    'allocate',
    /--secret-file: \/no\/secret: no such file or directory$/m,
  ],
  [['show'], 'show', /missing required argument 'name'/],
  [['claim'], 'claim', /either a name or --prefix/],
  [['claim', 'a', ...secret], 'claim', /--secret-file/],
  [['release', 'a', ...secret], 'release', /--secret-file/],
  [['revoke', '1', 'x'], 'revoke', /'x' is invalid for argument 'mapping'/],
  [['revoke', '1', ...secret], 'revoke', /--secret-file/],
  [['grow', 'a', '1z'], 'grow', /'1z' is invalid for argument 'size'/],
  [['shrink', 'a', '1G', ...secret], 'shrink', /--secret-file/],
  [['discard', 'a', '0+1G', '1+'], 'discard', /'1\+' is invalid for argument 'piece'. Write OFFSET\+LENGTH/],
  [['discard', 'a', '0+1G', ...secret], 'discard', /--secret-file/],
  [['share', 'a', 'me'], 'share', /'me' is invalid for argument 'uid'/],
  [['unshare', 'a', 'me'], 'unshare', /'me' is invalid for argument 'uid'/],
  [['set-metadata', 'a', '{'], 'set-metadata', /'\{' is invalid for argument 'json'/],
  [['set-metadata', 'a'], 'set-metadata', /either a JSON object or --remove/],
  [['map', '--zoom', '0+1G'], 'map', /--zoom is of one range/],
  [['map', 'r', '--zoom', '1G+0'], 'map', /length must not be 0/],
  [['read', 'a', '--raw', '--json'], 'read', /either --raw or --json/],
  [['read', 'a', '--length', '17M'], 'read', /more than 16 MiB is for --raw/],
  [['poison', 'mark', '--offset', '0', '--length', '1'], 'poison mark', /name of an allocation or --range/],
  [['poison', 'mark', 'a', '--offset', '0', '--length', '1', ...secret], 'poison mark', /--secret-file/],
  [['give', 'a'], 'give', /'--to <user>' not specified/],
  [['top', '--interval', '0'], 'top', /number of seconds/],
  [['log-level', 'loud'], 'log-level', /'loud' is invalid for argument 'level'/],
  [['exec', '--', 'true'], 'exec', /at least one --map/],
  [['exec', '--map', 'a', ...secret, 'true'], 'exec', /--secret-file/],
  [['update', '--deadline', 'soon'], 'update', /'--deadline <ms>' argument 'soon'/],
  [['vm', 'stop', 'a', '--save', '--quit'], 'vm stop', /exclude each other/],
  [['table', 'dump'], 'table dump', /missing required argument 'file'/],
  [['list', 'a', 'b'], 'list', /too many arguments/],
  [['--socket', 'list', 'status', '--frob'], 'status', /unknown option '--frob'/],
])('%j', async (words, verb, sentence) => {
  const { code, stdout, stderr } = await ctl(nobody, ...words)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(JSON.parse(words.includes('--json') ? stderr : await inJson(words))).toMatchObject({
    error: 'Usage',
    message: expect.stringMatching(sentence),
    hint: `broker-ctl ${verb} --help explains it`,
  })
  expect(stderr).toContain(`broker-ctl ${verb} --help explains it`)
})

async function inJson(words: readonly string[]): Promise<string> {
  return (await ctl(nobody, '--json', ...words)).stderr
}

test('a verb that there is not, and none', async () => {
  expect(await ctl(nobody, 'lisst')).toMatchObject({
    code: 2,
    stderr:
      "broker-ctl: Usage: unknown verb 'lisst'\n(Did you mean list?)\nhint: broker-ctl --help explains it\n",
  })
  for (const noun of [[], ['vm']]) {
    expect((await ctl(nobody, ...noun)).stderr).toMatch(
      /^Usage: broker-ctl .*<verb>[\s\S]*\nbroker-ctl: Usage: a verb is missing\n$/,
    )
    const { code, stdout, stderr } = await ctl(nobody, '--json', ...noun)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(JSON.parse(stderr)).toEqual({ error: 'Usage', message: 'a verb is missing' })
  }
})

test('the daemon names its help too, and a file once', async () => {
  const daemon = (...args: string[]) =>
    attempt(process.execPath, [path.join(packageRoot, 'dist/program/membrokerd.js'), ...args])
  expect(await daemon('--frob')).toMatchObject({
    status: 2,
    stderr: "membrokerd: unknown option '--frob'\nhint: membrokerd --help explains it\n",
  })
  expect(await daemon('--check', '--config', '/no/file')).toMatchObject({
    status: 2,
    stderr: 'membrokerd: /no/file: no such file or directory\n',
  })
})

test.each([[[]], [['vm']], [['poison']], [['table']], [['update']]])(
  'the verbs of %j are in groups that say what they are for, and fit a terminal',
  async noun => {
    const { stdout } = await ctl(nobody, ...noun, '--help')
    if (noun[0] !== 'update') expect(stdout).toMatch(/^ {2}help \[verb\] /m)
    expect(stdout).not.toMatch(/Commands:|\[command\]/)
    // Behind the options and the verbs are paragraphs and examples.
    const lists = stdout.slice(0, /^(?:Exit codes:|In this order:)/m.exec(stdout)?.index)
    expect(lists.split('\n').filter(line => line.length > 80)).toEqual([])
  },
)
