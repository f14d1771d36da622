/**
 * Proves that a failure to look up a user, of a VM or of `broker-ctl give`, is not taken for a user that there is not, and that a
 * user database that never answers is waited for a while only.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'
import { ctlMain } from './support/ctl'

let folder: string
let vm: string[]
const give = ['give', 'vm-1/ram', '--to', 'somebody']

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-getent-'))
  const file = path.join(folder, 'vm-1.toml')
  writeFileSync(file, '[vm]\nuser = "somebody"\n[[memory]]\nbytes = "4GiB"\n')
  vm = ['vm', 'check', file]
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs a verb where getent is another program, or not there. */
function runWith(
  script: string | undefined,
  args: readonly string[],
  program: readonly string[] = [ctlMain],
) {
  const getent = path.join(folder, 'getent')
  rmSync(getent, { force: true })
  if (script !== undefined) {
    writeFileSync(getent, `#!/bin/sh\n${script}\n`)
    chmodSync(getent, 0o755)
  }
  return attemptNow(process.execPath, [...program, ...args], { env: { ...process.env, PATH: folder } })
}

test.each([
  [
    'ends as where there is no such user',
    'exit 2',
    2,
    /NoSuchUser: (\S+:2: user: )?no user is called 'somebody'/,
  ],
  ['ends in another way', 'exit 3', 1, /UserLookup: .*getent ended with status 3/],
  ['is killed', 'kill -9 $$', 1, /UserLookup: .*by a signal/],
  ['says what is no entry', 'echo root', 1, /UserLookup/],
  ['says an entry without a number', 'echo somebody:x::1000:::', 1, /UserLookup/],
  ['is not there', undefined, 1, /UserLookup: .*ENOENT/],
])('getent %s', (_, script, status, stderr) => {
  const refusal = { status, stderr: expect.stringMatching(stderr) }
  expect(runWith(script, vm)).toMatchObject(refusal)
  expect(runWith(script, give)).toMatchObject(refusal)
})

test('getent neither answers nor ends by SIGTERM', () => {
  const hanging = "trap '' TERM\nexec /bin/sleep 600"
  const module = path.join(packageRoot, 'dist/src/client/ctl/user.js')
  expect(runWith(hanging, ['somebody', '1000'], ['-e', lookUp, module])).toMatchObject({
    status: 0,
    stdout: "UserLookup: the user 'somebody' can't be looked up: the host's user database does not answer\n",
  })
})

const lookUp = `
  const [, module, name, ms] = process.argv
  try { require(module).lookUpUser(name, Number(ms)) } catch ({ code, message }) { console.log(code + ': ' + message) }
`
