/**
 * Proves that 'broker-ctl update' replaces no kernel under guests of a range that the broker can't read: it is refused, also when the
 * range goes away in the middle, and where an administrator goes on, everybody who takes part is waited for.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Ignored } from '../../src/client/ctl/update/ignored'
import type { Risk } from '../../src/client/ctl/update/survey'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { UpdateHost } from './support/update-host'

const tenant = 65534
let folder: string
let host: UpdateHost

beforeEach(async () => {
  folder = mkdtempSync('/dev/shm/membroker-test-')
  mkdirSync(path.join(folder, 'away'))
  const away = `[[range]]\nname = "away"\nsource = "directory"\npath = "${folder}/away"\nbytes = "16MiB"\n`
  host = await UpdateHost.start(`${away}[[owner]]\nuid = ${tenant}\n`)
})
afterEach(async () => {
  await OtherProcess.killAll()
  await host.dispose()
  rmSync(folder, { recursive: true })
})

/** What stands for a device that comes late. */
async function takeAway(): Promise<void> {
  const place = path.join(folder, 'away')
  await host.server.kill()
  renameSync(place, `${place}.late`)
  writeFileSync(place, '')
  await host.server.start()
}

test('a guest that runs on such a range is neither forgotten nor replaced', async () => {
  if (!needsRoot('a participant of another uid')) return
  const { socket } = host.server
  const guest = await OtherProcess.start(socket, { uid: tenant })
  await guest.run(({ client }) => client.call('Allocate', { name: 'vm-b/ram', bytes: 4096, range: 'away' }))
  await takeAway()
  const again = await OtherProcess.start(socket, { uid: tenant })
  await again.run(async ({ connect }) => {
    const stream = connect().stream('JoinUpdates', { name: 'vm-b' })
    await stream.next()
    // Its state can't be mapped, so it never is ready.
    void (async () => {
      for await (const _ of stream);
    })().catch(() => {})
  })
  for (const args of [[], ['--ignore', '*']]) {
    const dry = await host.update(['--dry-run', ...args]).outcome
    expect([dry.code, dry.stdout]).toEqual([
      1,
      expect.stringMatching(
        /An update would be refused: the broker can't read range away \(.+\), .* --ignore range:away;/,
      ),
    ])
  }
  const dry = await host.update(['--dry-run', '--json']).outcome
  expect(JSON.parse(dry.stdout).risks).toEqual([
    {
      ...{ kind: 'unreadable', range: 'away', allocation: null, uid: null, pid: null },
      why: expect.any(String),
    },
  ])
  expect((await host.update().outcome).stderr).toMatch(/NotSaved: .*range away.*nothing has begun/)
  expect(host.calls).toEqual([])
  const late = await host.update(['--ignore', 'range:away', '--deadline', '200']).outcome
  expect([late.code, late.stderr]).toEqual([
    1,
    expect.stringMatching(/NotReady: vm-b \(pid \d+, uid 65534\) is late; .* everybody runs/),
  ])
})

test('a range that goes away while participants save calls the update off', async () => {
  const a = await host.participant(
    'vm-a',
    "tell('asked'); await new Promise(done => process.stdin.once('data', done))",
  )
  const { outcome, said } = host.update()
  expect(await a.next()).toBe('asked')
  await said('vm-a: asked')
  await takeAway()
  a.say('saved')
  const { code, stderr } = await outcome
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/NotSaved: the broker can't read range away .* called off, and everybody runs/),
  ])
  expect(await a.next()).toMatchObject({ goesOn: expect.any(String) })
})

test('only range:NAME lets whoever is in a range lose what is not saved', () => {
  const away: Risk = { kind: 'unreadable', allocation: null, uid: null, pid: null, range: 'vm-pool' }
  const held: Risk = { kind: 'takesNoPart', allocation: 'vm-pool', uid: 0, pid: 1, range: 'main' }
  const rest = (...patterns: string[]) => new Ignored(patterns).rest([away, held]).map(({ kind }) => kind)
  expect(rest('vm-*', '0:vm-*')).toEqual(['unreadable'])
  expect(rest('range:vm-*')).toEqual(['takesNoPart'])
})
