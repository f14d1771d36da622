/** Proves that the gate runs every step and forgives none, and that the fast tests leave out only suites that exist. */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { attemptNow, bareEnvironment } from '../support/child'
import { packageRoot } from '../support/package-root'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-ci-'))
  mkdirSync(path.join(folder, 'bin'))
  cpSync(path.join(packageRoot, '.ci'), path.join(folder, '.ci'), { recursive: true })
})
afterEach(() => rmSync(folder, { recursive: true }))

/**
 * The script in a folder of its own, where each step only says its name and ends as it is told: the steps themselves
 * are this very test run.
 */
function run(failing: string[]) {
  for (const program of ['node', 'npm']) {
    const file = path.join(folder, 'bin', program)
    const failures = failing.map(step => `'${step}') exit 7 ;;`).join(' ')
    writeFileSync(file, `#!/bin/sh\necho "${program} $*"\ncase "${program} $*" in ${failures} *) ;; esac\n`)
    chmodSync(file, 0o755)
  }
  const env = bareEnvironment({ PATH: `${path.join(folder, 'bin')}:${process.env.PATH}` })
  const { status, stdout } = attemptNow(path.join(folder, '.ci/run'), [], { cwd: '/', env })
  return { status, steps: stdout.trim().split('\n') }
}

const [setup, check, audit, tests] = [
  'node setup.mjs',
  'npm run check',
  'node .ci/audit.mjs',
  'npm test',
] as const

test.each([
  ['all is well', [], 0, [setup, check, audit, tests]],
  ['style or types are wrong', [check], 1, [setup, check, audit, tests]],
  ['a dependency has a grave advisory', [audit], 1, [setup, check, audit, tests]],
  ['a test fails', [tests], 1, [setup, check, audit, tests]],
  ['everything fails but set-up', [check, audit, tests], 1, [setup, check, audit, tests]],
  ['set-up fails', [setup], 1, [setup]],
])('when %s, continuous integration says so', (_when, failing, status, steps) => {
  // Proves that no step is left out or forgiven, and that the test runner has the last word.
  expect(run(failing)).toEqual({ status, steps })
})

test('its steps are what they are called', () => {
  // Proves that style and types are both in the one step, for a fresh clone too, and the tests in one command.
  const { scripts } = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8'))
  expect(scripts.check).toBe('node setup.mjs && biome check . && tsc -p src/page')
  expect([scripts.pretest, scripts.test]).toEqual(['node setup.mjs', 'node test/everything.mjs'])
})

test.each([
  ['both', [], 0],
  ['those that run by themselves', ['first'], 1],
  ['the others', ['second'], 1],
])('every suite runs once; %s may fail and nothing is left out or forgiven', (_which, failing, status) => {
  const program = path.join(folder, 'test/everything.mjs')
  const runner = path.join(folder, 'node_modules/jest/bin/jest.js')
  for (const file of [program, runner]) mkdirSync(path.dirname(file), { recursive: true })
  cpSync(path.join(packageRoot, 'test/everything.mjs'), program)
  writeFileSync(
    runner,
    `const args = process.argv.slice(2)
console.log(JSON.stringify(args))
const which = args[0].startsWith('-') ? 'second' : 'first'
process.exit(${JSON.stringify(failing)}.includes(which) ? 3 : 0)
`,
  )
  const all = attemptNow(process.execPath, [program])
  expect(all.status).toBe(status)
  const runs = all.stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as string[])
  const suitesOf = (args: string[]) => {
    const jest = path.join(packageRoot, 'node_modules/jest/bin/jest.js')
    const { stdout } = attemptNow(process.execPath, [jest, '--listTests', ...args], { cwd: packageRoot })
    return stdout.trim().split('\n')
  }
  const suites = runs.flatMap(suitesOf)
  expect(suites.sort()).toEqual(suitesOf([]).sort())
  expect(runs).toHaveLength(2)
  expect(attemptNow(process.execPath, [program, 'test/table']).stdout).toBe('["test/table"]\n')
})

test('the fast tests leave out only suites that there are, and are the same runner', () => {
  // Proves that a suite which is renamed does not slip into the fast run, or out of it, unseen.
  const { scripts } = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8'))
  expect([scripts['pretest:fast'], scripts['test:fast']]).toEqual([
    'node setup.mjs',
    'jest --config jest.fast.config.js',
  ])
  const { testPathIgnorePatterns } = require(path.join(packageRoot, 'jest.fast.config.js'))
  const suites = readdirSync(path.join(packageRoot, 'test'), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.test.ts'))
    .map(name => `/test/${name}`)
  const patterns = (testPathIgnorePatterns as string[]).filter(pattern => pattern !== '/node_modules/')
  expect(patterns.filter(pattern => !suites.some(suite => new RegExp(pattern).test(suite)))).toEqual([])
})
