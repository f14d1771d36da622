/**
 * Proves that no test waits without a bound: what runs a program to its end is test/support/child.ts alone, and nothing of
 * another process is read that its memory lock can keep.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../support/package-root'

/** Not run by the test runner: who starts them sees what they print. */
const byHand = /^test\/(bench\/|lab\/inside\/)/
const home = 'test/support/child.ts'
const self = 'test/structure/children.test.ts'

const files = readdirSync(path.join(packageRoot, 'test'), { recursive: true, encoding: 'utf8' })
  .filter(name => /\.(ts|tsx)$/.test(name))
  .map(name => path.join('test', name))
  .filter(file => file !== home && file !== self && !byHand.test(file))

test('programs are run to their end by test/support/child.ts', () => {
  expect(files.length).toBeGreaterThan(200)
  // By names only, in whichever form, so that they can be seen here.
  const byNames =
    /\{([^{}]*)\}\s*(?:from|=\s*(?:require|process\.getBuiltinModule)\()\s*'node:child_process'/g
  const wrong = files.filter(file => {
    const text = readFileSync(path.join(packageRoot, file), 'utf8')
    const names = [...text.matchAll(byNames)].map(match => match[1]!)
    const isHidden = text.split('child_process').length - 1 > names.length
    return isHidden || names.some(list => /\b(?:exec\w*|\w+Sync)\b/.test(list))
  })
  expect(wrong).toEqual([])
})

test("no test reads what waits for another process' memory lock", () => {
  // A program on the machine whose lock is stuck would keep it for ever. comm, stat, status, fd and children do not wait.
  const reading = /\/proc\/(?:\$\{[^}]*\}|\[[^\]]*\]\*?)\/(?:cmdline|environ|maps|smaps|numa_maps|mem|auxv)\b/
  const scanning = /\b(?:pgrep|pkill|fuser|lsof)\b|'ps'/
  // The attack itself, which shows that they wait, and what runs in a machine of its own.
  const meant = /^test\/(program\/stuck-|lab\/scenario\/|structure\/)/
  const found = files.filter(file => {
    const text = readFileSync(path.join(packageRoot, file), 'utf8')
    return !meant.test(file) && (reading.test(text) || scanning.test(text))
  })
  expect(found).toEqual([])
})
