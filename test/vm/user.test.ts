/** Proves that a failure to look up the user of a VM is not taken for a user that there is not. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ctlMain } from '../client/support/ctl'
import { attemptNow } from '../support/child'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-getent-'))
  writeFileSync(path.join(folder, 'vm-1.toml'), '[vm]\nuser = "somebody"\n[[memory]]\nbytes = "4GiB"\n')
})
afterAll(() => rmSync(folder, { recursive: true }))

test.each([
  ['ends as where there is no such user', 'exit 2', 2, /NoSuchUser: no user is called 'somebody'/],
  ['ends in another way', 'exit 3', 1, /UserLookup: .*getent ended with status 3/],
  ['is killed', 'kill -9 $$', 1, /UserLookup: .*by a signal/],
  ['says what is no entry', 'echo root', 1, /UserLookup/],
  ['says an entry without a number', 'echo somebody:x::1000:::', 1, /UserLookup/],
  ['is not there', undefined, 1, /UserLookup: .*ENOENT/],
])('getent %s', (_, script, status, stderr) => {
  const getent = path.join(folder, 'getent')
  rmSync(getent, { force: true })
  if (script !== undefined) {
    writeFileSync(getent, `#!/bin/sh\n${script}\n`)
    chmodSync(getent, 0o755)
  }
  const env = { ...process.env, PATH: folder }
  const checked = attemptNow(process.execPath, [ctlMain, 'vm', 'check', path.join(folder, 'vm-1.toml')], {
    env,
  })
  expect(checked).toMatchObject({ status, stderr: expect.stringMatching(stderr) })
})
