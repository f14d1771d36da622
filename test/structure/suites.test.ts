/** Proves that each suite opens by saying what it proves, and that documents do not fall back into riddles. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../support/package-root'

const textOf = (file: string) => readFileSync(path.join(packageRoot, file), 'utf8')
const under = (folder: string, form: RegExp) =>
  readdirSync(path.join(packageRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => form.test(name))
    .map(name => path.join(folder, name))
    .filter(name => statSync(path.join(packageRoot, name)).isFile())

test('the first words of each suite are a comment that begins with "Proves"', () => {
  const suites = under('test', /\.test\.tsx?$/)
  expect(suites.length).toBeGreaterThan(150)
  expect(suites.filter(file => !/^(?:\/\*\*|\/\/)[\s*]*Proves\b/.test(textOf(file)))).toEqual([])
})

/** Sentences without an actor. A reader has to guess who tells, says, gives or looks. */
const riddles =
  /\b(?:is|are|was|were|be|been) (?:told|said|given out|looked at)\b|\bit is said\b|\bof what\b|\bwhoever asks\b/i

test('documents name the actor', () => {
  const documents = [
    ...readdirSync(packageRoot).filter(name => name.endsWith('.md')),
    ...under('docs', /\.md$/),
    ...under('protocol', /\.(?:md|varlink)$/),
    ...under('deploy', /./),
  ]
  expect(documents.length).toBeGreaterThan(30)
  const found = documents.flatMap(file =>
    textOf(file)
      .split('\n')
      .flatMap((line, index) => (riddles.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [])),
  )
  expect(found).toEqual([])
})
