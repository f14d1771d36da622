/**
 * Proves that a source is one object in one place: nothing but its description, its folder and the registry names it, each
 * registered source has its code, and the documents that list the sources list all of them.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { sourceKinds, sources } from '../../protocol/source'
import { packageRoot } from '../support/package-root'

/** Files that may name sources all the same, each with the reason. */
const exceptions: Record<string, string> = {
  'protocol/source/index.ts': 'the registry',
  'src/broker/source/openers.ts': 'the code of each',
  'src/broker/service/inherited.ts': 'names in the fd store, of which version 0.1 wrote memfd-ID',
  'src/client/ctl/host/check/kmem.ts': "a mode of daxctl's, which has the same name",
}

const textOf = (file: string) => readFileSync(path.join(packageRoot, file), 'utf8')
const files = ['src', 'protocol'].flatMap(folder =>
  readdirSync(path.join(packageRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => /\.tsx?$/.test(name) && !name.includes('generated'))
    .map(name => path.join(folder, name)),
)

/** Its description and its code. */
const isHome = (file: string, kind: string) =>
  file === `protocol/source/${kind}.ts` || file.startsWith(`src/broker/source/${kind}/`)

const withoutComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, '$1')

/** In code; 'directory' is a word of the language too, and counts as a whole string only. */
function names(text: string, kind: string): boolean {
  const form = kind === 'directory' ? /(['"`])directory\1/ : new RegExp(`\\b${kind}\\b`)
  return form.test(withoutComments(text))
}

test.each(sourceKinds)('%s is named by its description, its code and the registry only', kind => {
  const naming = files.filter(file => !isHome(file, kind) && names(textOf(file), kind))
  expect(naming.filter(file => !(file in exceptions))).toEqual([])
})

test('each exception is one', () => {
  const naming = (file: string) => sourceKinds.some(kind => names(textOf(file), kind))
  expect(Object.keys(exceptions).filter(file => !naming(file))).toEqual([])
})

test('each source has its code, in a folder that uses no other source, and no folder is of none', () => {
  const folder = path.join(packageRoot, 'src/broker/source')
  const folders = readdirSync(folder, { withFileTypes: true }).filter(entry => entry.isDirectory())
  expect(folders.map(({ name }) => name).sort()).toEqual([...sourceKinds].sort())
  for (const kind of sourceKinds)
    expect([kind, typeof require(path.join(folder, kind, kind)).open]).toEqual([kind, 'function'])
  const foreign = sourceKinds.flatMap(kind =>
    files
      .filter(file => file.startsWith(`src/broker/source/${kind}/`))
      .filter(file => {
        const imported = [...textOf(file).matchAll(/from '(\.[^']*)'/g)].map(([, specifier]) =>
          path.join(path.dirname(file), specifier!),
        )
        return imported.some(target => sourceKinds.some(other => other !== kind && isHome(target, other)))
      }),
  )
  expect(foreign).toEqual([])
})

test('each source has a number of its own in the superblock, which TABLE.md says', () => {
  const row = /source: (.*) \|$/m.exec(textOf('protocol/TABLE.md'))![1]
  const listed = sourceKinds.map(kind => [sources[kind].tableCode, kind] as const).sort(([a], [b]) => a - b)
  expect(new Set(listed.map(([code]) => code)).size).toBe(sourceKinds.length)
  expect(row).toBe(listed.map(([code, kind]) => `${code} ${kind}`).join(', '))
})

test('each source is in the glossary, and has an example in the configuration that is shipped', () => {
  const glossary = /^\| \*\*source\*\* \|.*$/m.exec(textOf('docs/glossary.md'))![0]
  const example = textOf('deploy/membroker.toml')
  for (const kind of sourceKinds) {
    expect(glossary).toContain(`\`${kind}\``)
    expect(example).toMatch(new RegExp(`^#?source = "${kind}"$`, 'm'))
  }
})
