/** Proves that the manual pages say all that the programs say, and are roff that any reader of it renders as meant. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { manualPages } from '../../man/generate'
import { literal, prose, text, usage, verbatim } from '../../man/roff'
import { configSchema } from '../../src/broker/config/schema'
import { buildProgram } from '../../src/client/ctl/program'
import { vmSchema } from '../../src/client/ctl/vm/schema'
import { findProgram } from '../guest/require-qemu'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'

const pages = [...manualPages(packageRoot)]
const page = (name: string) => pages.find(([file]) => file === name)![1]

const macros = new Set(['TH', 'SH', 'SS', 'PP', 'IP', 'TP', 'RS', 'RE', 'nf', 'fi'])
/** Escapes: fonts, special characters, Unicode, the backslash, the hyphen, nothing. */
const escapes = /\\(f[BIR]|\([a-z]{2}|\[u[0-9A-F]{4,5}\]|e|-|&)/g

/** What is wrong with a page, by line. */
function mistakes(roff: string): string[] {
  const found: string[] = []
  const open: string[] = []
  roff
    .trimEnd()
    .split('\n')
    .forEach((line, i) => {
      const wrong = (what: string) => found.push(`${i + 1}: ${what}: ${line}`)
      const [, macro] = /^[.'](\w*)/.exec(line) ?? []
      if (i === 0 && macro !== 'TH') wrong('the first line is no title')
      if (line === '' && open.at(-1) !== 'nf') wrong('an empty line')
      if (macro !== undefined && !macros.has(macro)) wrong('an unknown macro')
      if (macro === 'RS' || macro === 'nf') open.push(macro)
      if (macro === 'RE' && open.pop() !== 'RS') wrong('.RE without .RS')
      if (macro === 'fi' && open.pop() !== 'nf') wrong('.fi without .nf')
      if ((macro === 'SH' || macro === 'SS') && open.length > 0) wrong('a heading inside a block')
      const rest = line.replace(escapes, '')
      if (rest.includes('\\')) wrong('an unknown escape')
      if (/[^\x20-\x7e]/.test(line)) wrong('not ASCII')
      const fonts = [...line.matchAll(/\\f([BIR])/g)].map(([, font]) => font)
      if (fonts.length > 0 && fonts.at(-1) !== 'R') wrong('a font that does not end')
    })
  return open.length > 0 ? [...found, `never closed: ${open}`] : found
}

test.each(pages)('%s is good roff', (_name, roff) => {
  expect(mistakes(roff)).toEqual([])
})

test('what roff would take for its own is written so that it does not', () => {
  // Proves the quoting on what shell examples and help texts are made of.
  expect(literal('a\\n-b "c" \'d\' µ')).toBe('a\\en\\-b \\(dqc\\(dq \\(aqd\\(aq \\[u00B5]')
  expect(text('.SH no\nyes.')).toBe('\\&.SH no\nyes.')
  expect(text("'quoted'")).toBe('\\(aqquoted\\(aq')
  expect(usage('--fd <n>')).toBe('\\fB\\-\\-fd \\fR\\fIn\\fR')
  expect(prose('one:\n- two\n  three\n- four\nfive').split('\n')).toEqual([
    ...['.PP', 'one:', '.IP \\(bu 2', 'two', 'three', '.IP \\(bu 2', 'four', '.PP', 'five'],
  ])
  expect(prose('one\ntwo\n  three\n  four\n\nfive').split('\n')).toEqual([
    '.PP',
    'one',
    'two',
    '.PP',
    '.RS 4',
    '.nf',
    'three',
    'four',
    '.fi',
    '.RE',
    '.PP',
    'five',
  ])
  expect(mistakes('.TH X 1\n.XX\n\\z\n.nf\nµ')).toHaveLength(4)
})

test('lines that stay as they are keep their indentation to each other', () => {
  expect(verbatim(['a = [', '  1,', ']']).split('\n').slice(3, -2)).toEqual(['a = [', '  1,', ']'])
  expect(verbatim(['  a', '', '    b']).split('\n').slice(3, -2)).toEqual(['a', '', '  b'])
})

test('broker-ctl(1) has every verb, its options and its examples', () => {
  // Proves that a new verb can't be left out.
  const roff = page('broker-ctl.1')
  const walk = (commands: ReturnType<typeof buildProgram>['commands'], before: string): void => {
    for (const verb of commands.filter(command => !command.name().startsWith('__'))) {
      const name = `${before}${verb.name()}`
      if (verb.commands.length > 0) walk(verb.commands, `${name} `)
      else expect(roff).toContain(`\n.SS \\fB${literal(name)}`)
      for (const { long } of verb.options) expect(roff).toContain(literal(long!))
      expect(verb.helpInformation()).not.toContain('[])')
    }
  }
  walk(buildProgram().commands, '')
  expect(roff).toContain('broker\\-ctl exec \\-\\-map vm\\-42/ram')
})

test.each([
  ['membroker.toml.5', configSchema],
  ['membroker-vm.toml.5', vmSchema],
])('%s has every key', (name, configuration) => {
  // Proves that a new key can't be left out, and has its meaning beside it.
  const roff = page(name)
  const { properties } = configuration as {
    properties: Record<string, { items?: object; properties?: object }>
  }
  for (const [name, schema] of Object.entries(properties)) {
    const [, part] = roff.split(`\n.SS ${schema.items ? `[[${name}]]` : `[${name}]`}\n`)
    const keys = Object.keys(
      (schema.items as { properties: object } | undefined)?.properties ?? schema.properties!,
    )
    for (const key of keys)
      expect(part!.split('\n.S')[0]).toMatch(new RegExp(`\\n\\.TP\\n\\\\fB${key}\\\\fR = .*\\n\\S.*\\.`))
  }
})

test('membrokerd(8) has the options that its help has', () => {
  for (const option of ['config', 'socket', 'directory', 'size', 'log-level', 'format', 'check'])
    expect(page('membrokerd.8')).toContain(literal(`--${option}`))
})

test('groff has nothing to complain of, where it is', () => {
  if (!findProgram('groff')) return
  // Proves the same with the program that renders them on most hosts; what no groff is there to say, the tests above do.
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-man-'))
  try {
    for (const [name, roff] of pages) {
      const file = path.join(folder, name)
      writeFileSync(file, roff)
      const { stderr, stdout } = attemptNow('groff', ['-ww', '-man', '-Tutf8', '-P-cbou', '-k', file])
      expect([name, stderr]).toEqual([name, ''])
      expect(stdout).toContain('SEE ALSO')
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
