/**
 * Proves that the users of a configuration are looked up in the host's user database within a time, at the start and
 * while clients are served, and that what could not be looked up is not taken for a user that there is not.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runNow } from '../support/child'
import { packageRoot } from '../support/package-root'

const realId = runNow('sh', ['-c', 'command -v id']).trim()
let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-users-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Runs instead of id. */
function replaceId(script: string): void {
  writeFileSync(path.join(folder, 'id'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
}

/** In a process of its own, as the programs that it finds are those of a process. */
function inProcess(code: string, PATH = `${folder}:${process.env.PATH}`) {
  const text = `const { lookUpAtStart, UserLookup } = require('./dist/src/broker/config/users')
const users = new UserLookup()
const print = async uids => console.log(JSON.stringify(Object.fromEntries(await uids)))
void (async () => { ${code} })()`
  const printed = runNow(process.execPath, ['-e', text], {
    cwd: packageRoot,
    env: { PATH },
  })
  return printed
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
}

const reason = (text: RegExp) => ({ reason: expect.stringMatching(text) })

describe.each([
  ['at the start', 'lookUpAtStart'],
  ['while clients are served', 'users.lookUp'],
])('%s', (_, way) => {
  const lookUp = (names: string[], PATH?: string) =>
    inProcess(
      `await print(${way === 'lookUpAtStart' ? way : 'users.lookUp.bind(users)'}(${JSON.stringify(names)}))`,
      PATH,
    )[0]!

  test('each name is a uid, or is said not to be one', () => {
    const daemon = Number(runNow('id', ['-u', 'daemon']))
    const missing = [...Array.from({ length: 30 }, (_, index) => `no-such-user-${index}`), '--help']
    const uids = lookUp(['root', ...missing, 'daemon', 'a\0b'])
    expect(uids).toMatchObject({ root: 0, daemon, 'a\0b': reason(/can't be looked up/) })
    for (const name of missing) expect(uids[name]).toEqual(reason(/^no user is called/))
    expect(Object.keys(uids)).toHaveLength(34)
  })

  test('where nothing can be asked, no user is said not to be there', () => {
    expect(lookUp(['root'], folder)).toEqual({ root: reason(/'root' can't be looked up: .*ENOENT/) })
  })

  test.each(['kill -9 $$', 'exit 3', 'echo nonsense'])('nor where id fails: %s', script => {
    replaceId(script)
    expect(lookUp(['root'])).toEqual({ root: reason(/'root' can't be looked up: id ended/) })
  })

  test('a database that does not answer for one user is waited for a while, and is named with that user', () => {
    replaceId(`[ "$3" = daemon ] && exec sleep 600\nexec ${realId} "$@"`)
    expect(lookUp(['root', 'daemon'])).toEqual({ root: 0, daemon: reason(/does not answer for 'daemon'/) })
  })
})

test('users that nobody answers for take one wait together, and nothing of them is left for the next time', () => {
  const names = Array.from({ length: 20 }, (_, index) => `user-${index}`)
  const pids = path.join(folder, 'pids')
  replaceId(`[ "$3" = root ] && exec ${realId} "$@"\necho $$ >>'${pids}'\nexec sleep 600`)
  const [late, after] = inProcess(
    `await print(users.lookUp(${JSON.stringify(names)})); await print(users.lookUp(['root']))`,
  )
  for (const name of names) expect(late![name]).toEqual(reason(/does not answer/))
  const asked = readFileSync(pids, 'utf8').trim().split('\n')
  expect(asked.length).toBeLessThanOrEqual(8)
  for (const pid of asked) expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH')
  expect(after).toEqual({ root: 0 })
})
