/**
 * Proves that a configuration means what it says, that what it leaves out has the documented default, and that every
 * mistake is refused with the file, the right line and a sentence about it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { lineOf } from '../../protocol/toml'
import { ConfigError, embeddedDefault, loadConfig, parseConfig } from '../../src/broker/config/config'

const file = '/etc/membroker.toml'
const parse = (text: string) => parseConfig(text, file)
const range = `[[range]]
name = "ram"
source = "directory"
path = "/dev/shm/ram"
bytes = "64MiB"
`

test('all that can be said', () => {
  const settings = parse(`
[broker]
socket = "/run/x/broker.sock"
socket_mode = "0660"
log_level = "warn"
clients_max = 10
clients_per_uid_max = 3

[defaults]
bytes_max = "1GiB"
names = ["public/*"]

[revoke]
grace_ms = 250
on_deadline = "kill"

[admin]
uids = [7]
users = ["nobody"]

${range}align = "2MiB"
table_bytes = "1MiB"
preallocate = true

[[range]]
name = "huge"
source = "memfd"
bytes = 4294967296
huge_page = "2 MiB"

[[owner]]
user = "daemon"
bytes_max = 4096
allocations_max = 2
mappings_max = 5
ranges = ["huge"]

[[owner]]
uid = 1000
`)
  expect(settings).toEqual({
    socket: '/run/x/broker.sock',
    socketMode: 0o660,
    logLevel: 'warn',
    clientsMax: 10,
    clientsPerUidMax: 3,
    strangersMax: 16,
    ranges: [
      {
        name: 'ram',
        source: 'directory',
        path: '/dev/shm/ram',
        bytes: 64 * 2 ** 20,
        alignBytes: 2 * 2 ** 20,
        tableBytes: 2 ** 20,
        preallocate: true,
      },
      {
        name: 'huge',
        source: 'memfd',
        bytes: 4 * 2 ** 30,
        alignBytes: undefined,
        tableBytes: undefined,
        huge_page: 2 * 2 ** 20,
      },
    ],
    owners: new Map([
      [
        1,
        {
          bytesMax: 4096,
          allocationsMax: 2,
          mappingsMax: 5,
          ranges: ['huge'],
          names: undefined,
          openByPath: false,
        },
      ],
      [
        1000,
        {
          bytesMax: Infinity,
          allocationsMax: Infinity,
          mappingsMax: Infinity,
          ranges: undefined,
          names: undefined,
          openByPath: false,
        },
      ],
    ]),
    defaults: {
      bytesMax: 2 ** 30,
      allocationsMax: Infinity,
      mappingsMax: Infinity,
      ranges: undefined,
      names: ['public/*'],
      openByPath: false,
    },
    admins: new Set([0, process.getuid!(), 7, 65534]),
    revokeGraceMs: 250,
    onDeadline: 'kill',
  })
})

test('what is left out has its default: nothing for strangers, everything for administrators', () => {
  const settings = parse(range)
  const base = embeddedDefault({ bytes: 2 ** 20 })
  expect(settings).toMatchObject({
    socket: base.socket,
    clientsMax: 4096,
    clientsPerUidMax: 2048,
    strangersMax: 256,
    revokeGraceMs: 5000,
    onDeadline: 'quarantine',
    defaults: { bytesMax: 0, allocationsMax: 0 },
    admins: new Set([0, process.getuid!()]),
  })
  expect(parse(`[broker]\nclients_max = 9\n${range}`).clientsPerUidMax).toBe(5)
})

test.each([
  ['4096000', 4096000],
  ['"4096000"', 4096000],
  ['"1048576B"', 2 ** 20],
  ['"1M"', 2 ** 20],
  ['"1MB"', 2 ** 20],
  ['"1 MiB"', 2 ** 20],
  ['"1.5MiB"', 1.5 * 2 ** 20],
  ['"2T"', 2 * 2 ** 40],
])('a size of %s', (text, bytes) => {
  expect(parse(range.replace('"64MiB"', text)).ranges[0]!.bytes).toBe(bytes)
})

/** Each with the line that is to be named; the range begins at line 1 and its bytes are on line 5. */
test.each<[string, string, number, RegExp]>([
  ['no TOML', `${range}\nbytes = = 3`, 7, /not TOML/],
  ['a key twice', `${range}bytes = 4096`, 6, /not TOML/],
  ['a number that is too large', range.replace('"64MiB"', '99999999999999999999'), 5, /not TOML/],
  ['no range', '# nothing\n', 1, /the file lacks \[\[range\]\]/],
  ['an empty list of ranges', 'range = []\n', 1, /range/],
  ['a range that is a table', '\n[range]\nname = "x"\n', 2, /range must be a list: write \[\[range\]\]$/],
  ['an unknown table', `${range}\n[brokers]\n`, 7, /unknown key 'brokers' in the file/],
  ['an unknown key', `${range}\n[broker]\nsockt = "/x"\n`, 8, /unknown key 'sockt' in broker/],
  ['an unknown key of a range', `${range}size = 3\n`, 6, /unknown key 'size' in range/],
  [
    'an unknown key of the second range',
    `${range}\n${range.replace('ram', 'b')}sise = 1\n`,
    12,
    /unknown key 'sise'/,
  ],
  ['a range without a name', range.replace('name = "ram"\n', ''), 1, /range lacks 'name'/],
  ['a hostile range name', range.replace('"ram"', '"../ram"'), 2, /range.name/],
  ['an unknown source', range.replace('"directory"', '"devdax2"'), 3, /must be one of directory, memfd/],
  ['a relative path', range.replace('/dev/shm/ram', 'ram'), 4, /range.path/],
  ['a directory range without a path', range.replace('path = "/dev/shm/ram"\n', ''), 1, /needs 'path'/],
  ['a memfd range with a path', range.replace('directory', 'memfd'), 4, /has no path/],
  ['a size without a number', range.replace('64MiB', 'lots'), 5, /must be a size/],
  ['a negative size', range.replace('"64MiB"', '-1'), 5, /must be a size/],
  ['a size with a fraction', range.replace('"64MiB"', '1.5'), 5, /must be a size/],
  ['a size of half bytes', range.replace('64MiB', '1.5B'), 5, /'1.5B' is not a size/],
  ['a size beyond 2^53', range.replace('64MiB', '9000P'), 5, /not a size below 2\^53/],
  ['a size that is true', range.replace('"64MiB"', 'true'), 5, /must be a size/],
  ['a range too small', range.replace('64MiB', '4K'), 5, /at least 1MiB/],
  ['an alignment of three pages', `${range}align = 12288\n`, 6, /power of two/],
  ['an alignment below a page', `${range}align = 512\n`, 6, /power of two/],
  ['an alignment larger than the range', `${range}align = "128MiB"\n`, 6, /at most the range/],
  ['a table too small', `${range}table_bytes = "64K"\n`, 6, /table_bytes/],
  ['an unaligned table', `${range}table_bytes = 300000\n`, 6, /table_bytes/],
  ['huge pages of a directory', `${range}huge_page = "2M"\n`, 6, /has no huge_page: it is for memfd/],
  ['two ranges of one name', `${range}${range.replace('/ram"', '/b"')}`, 7, /two ranges are called 'ram'/],
  [
    'two ranges in one directory',
    `${range}${range.replace('"ram"', '"b"').replace('/shm/', '/shm/./')}`,
    9,
    /two ranges use/,
  ],
  ['a preallocate that is text', `${range}preallocate = "yes"\n`, 6, /must be true or false$/],
  ['a relative socket', `[broker]\nsocket = "x.sock"\n${range}`, 2, /broker.socket/],
  ['a socket mode of decimals', `[broker]\nsocket_mode = "999"\n${range}`, 2, /broker.socket_mode/],
  ['a socket mode that is a number', `[broker]\nsocket_mode = 0o660\n${range}`, 2, /broker.socket_mode/],
  ['a log level', `[broker]\nlog_level = "loud"\n${range}`, 2, /must be one of trace, debug/],
  ['no clients', `[broker]\n\nclients_max = 0\n${range}`, 3, /broker.clients_max/],
  ['an owner without a user', `${range}[[owner]]\nbytes_max = 1\n`, 6, /either 'user' or 'uid'/],
  ['an owner with both', `${range}[[owner]]\nuser = "root"\nuid = 0\n`, 6, /either 'user' or 'uid'/],
  ['a user that does not exist', `${range}[[owner]]\nuser = "no-such-user"\n`, 7, /no user is called/],
  ['a user that is an option', `${range}[[owner]]\nuser = "--help"\n`, 7, /no user is called/],
  ['two entries for one owner', `${range}[[owner]]\nuid = 5\n[[owner]]\nuid = 5\n`, 8, /two owner entries/],
  [
    'two entries by name and number',
    `${range}[[owner]]\nuser = "daemon"\n\n[[owner]]\nuid = 1\n`,
    9,
    /two owner/,
  ],
  [
    'an owner of a range there is not',
    `${range}[[owner]]\nuid = 5\nranges = ["ram", "x"]\n`,
    8,
    /no range is called 'x'/,
  ],
  ['a negative uid', `${range}[[owner]]\nuid = -1\n`, 7, /owner.uid/],
  ['a quota that is no size', `${range}[defaults]\nbytes_max = "much"\n`, 7, /must be a size/],
  ['an empty name pattern', `${range}[defaults]\nnames = ["a", ""]\n`, 7, /defaults.names/],
  ['an administrator who does not exist', `${range}[admin]\nuids = []\nusers = ["nope-x"]\n`, 8, /no user/],
  ['a grace of days', `[revoke]\ngrace_ms = 90_000_000\n${range}`, 2, /revoke.grace_ms/],
  ['a policy there is not', `[revoke]\non_deadline = "ignore"\n${range}`, 2, /one of quarantine, kill, take/],
])('%s', (_, text, line, reason) => {
  expect(() => parse(text)).toThrow(ConfigError)
  expect(() => parse(text)).toThrow(reason)
  expect(() => parse(text)).toThrow(new RegExp(`^${file}:${line}: `))
})

test('a file that is not there, or not a file, is named', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-config-'))
  try {
    expect(() => loadConfig(path.join(folder, 'none.toml'))).toThrow(/none.toml: no such file or directory$/)
    expect(() => loadConfig(folder)).toThrow(new RegExp(`${folder}: illegal operation on a directory$`))
    const good = path.join(folder, 'good.toml')
    writeFileSync(good, range)
    expect(loadConfig(good).ranges[0]!.name).toBe('ram')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

describe('the line of a value', () => {
  const text = `# [[range]]
title = "x = 3"
[a]
 b = 1
"c" . d = 2
[ a.e ]
f = """
b = 9
"""
[[r]]
k = 1
[[r]]
k = 3
`
  test.each<[(string | number)[], number]>([
    [['title'], 2],
    [['a'], 3],
    [['a', 'b'], 4],
    [['a', 'c', 'd'], 5],
    [['a', 'e', 'f'], 7],
    [['a', 'e'], 6],
    [['a', 'missing'], 3],
    [['r', 0, 'k'], 11],
    [['r', 1, 'k'], 13],
    [['r', 1], 12],
    [['nowhere'], 1],
  ])('%j', (at, line) => {
    expect(lineOf(text, at)).toBe(line)
  })
})
