/** Proves that no test waits for a program without a bound: what runs one to its end is test/support/child.ts alone. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../support/package-root'

/** Not run by the test runner: who starts them sees what they print. */
const byHand = /^test\/(bench\/|lab\/inside\/)/
const home = 'test/support/child.ts'

test('programs are run to their end by test/support/child.ts', () => {
  const files = readdirSync(path.join(packageRoot, 'test'), { recursive: true, encoding: 'utf8' })
    .filter(name => /\.(ts|tsx)$/.test(name))
    .map(name => path.join('test', name))
    .filter(file => file !== home && !byHand.test(file))
  expect(files.length).toBeGreaterThan(200)
  const calls = files.flatMap(file => {
    const imported = /^import \{([^}]*)\} from 'node:child_process'$/gm
    const text = readFileSync(path.join(packageRoot, file), 'utf8')
    return [...text.matchAll(imported)]
      .filter(([, names]) => /\b(spawnSync|execFileSync|execSync|exec)\b/.test(names!))
      .map(() => file)
  })
  expect(calls).toEqual([])
})
