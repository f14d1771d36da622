/**
 * Proves that 'broker-ctl update' refuses, or calls off, an update that somebody would lose by: memory or a range that does not
 * outlive the kernel, another update, another kernel, a tenant's participant. --ignore allows each by its name.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import path from 'node:path'
import { MiB } from '../../src/client'
import { Ignored, type Named } from '../../src/client/ctl/update/ignored'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { until } from '../support/until'
import { ctl, startCtl } from './support/ctl'
import { kernelFile } from './support/kernel-file'
import { UpdateHost } from './support/update-host'

const tenant = 65534
let host: UpdateHost

beforeEach(async () => {
  host = await UpdateHost.start(`[[owner]]\nuid = ${tenant}\n`)
})
afterEach(async () => {
  await OtherProcess.killAll()
  await host.dispose()
})

/** A participant of the tenant's, which never answers. */
async function silentTenant(name: string): Promise<void> {
  const other = await OtherProcess.start(host.server.socket, { uid: tenant })
  await other.run(async ({ client, connect }, name) => {
    await client.call('Allocate', { name: 'db/ram', bytes: 4096 })
    const stream = connect().stream('JoinUpdates', { name })
    await stream.next()
    void (async () => {
      for await (const _ of stream);
    })().catch(() => {})
  }, name)
}

test('what the next kernel would lose, and a kernel that nobody named, refuse before anything begins', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-update-'))
  const config = path.join(folder, 'devmem.toml')
  writeFileSync(
    config,
    '[[range]]\nname = "far"\nsource = "devmem"\nbase = "0x4000000000"\nbytes = "1GiB"\ntrusted_uids = [0]\n',
  )
  const lost = await host.update(['--config', config]).outcome
  expect(lost.code).toBe(4)
  expect(lost.stdout).toMatch(/preflight +LOST/)
  expect(lost.stderr).toMatch(/Unsafe: the next kernel would lose a range; nothing has begun/)
  const none = await ctl(host.server.socket, 'update', '--config', host.server.configFile)
  expect([none.code, none.stderr]).toEqual([2, expect.stringMatching(/no kernel is loaded/)])
  expect(host.calls).toEqual([])
  rmSync(folder, { recursive: true })
})

test('memory that the kernel preserves goes to no kernel of another release, and to none that somebody has loaded', async () => {
  if (!needsRoot('a mount')) return
  const config = path.join(host.server.folder, 'kept.toml')
  writeFileSync(config, '[[range]]\nname = "kept"\nsource = "memfd"\nbytes = "1MiB"\npreserve = "always"\n')
  const kept = ['--config', config, '--append', 'kho=on liveupdate=on']
  const foreign = ['--kernel', kernelFile(host.server.folder, 'vmlinuz-new', '9.9.9-other')]
  const lost = await host.update([...kept, ...foreign]).outcome
  expect([lost.code, lost.stderr]).toEqual([4, expect.stringMatching(/Unsafe: /)])
  expect(lost.stdout).toMatch(/LOST +kept: the next kernel is 9.9.9-other, and this one .*--same-format/)
  expect(host.calls).toEqual([])
  const dry = await host.update([...kept, ...foreign, '--same-format', '--dry-run', '--json']).outcome
  expect([dry.code, JSON.parse(dry.stdout)]).toMatchObject([
    0,
    {
      check: { good: true, findings: [{ id: 'release' }, { id: 'configuration' }] },
      kernel: { image: foreign[1], initrd: null },
    },
  ])
  // The broker's range has nothing that this kernel preserves.
  const bare = path.join(host.server.folder, 'bare.toml')
  writeFileSync(bare, '[[range]]\nname = "main"\nsource = "memfd"\nbytes = "1MiB"\npreserve = "always"\n')
  const first = await host.update([...kept, '--config', bare, ...foreign, '--dry-run']).outcome
  expect([first.code, first.stdout]).toEqual([0, expect.stringMatching(/warning +main: .* is 9.9.9-other/)])
  const own = kernelFile(host.server.folder, 'vmlinuz-own', release())
  const good = await host.update([...kept, '--kernel', own, '--dry-run']).outcome
  // Not every host keeps the configuration of its kernel.
  expect([good.code, good.stdout]).toEqual([0, expect.not.stringMatching(/LOST|nobody knows whether/)])
  expect(good.stdout).toMatch(/^kernel .*vmlinuz-own\ninitrd +none\nline +kho=on liveupdate=on\n/m)

  const folder = path.join(host.server.folder, 'kernel')
  mkdirSync(folder)
  writeFileSync(path.join(folder, 'kexec_loaded'), '1\n')
  const mount = `mount --bind ${folder} /sys/kernel && exec "$@"`
  const loaded = (...args: string[]) =>
    startCtl(host.server.socket, ['update', ...kept, ...args], {}, ['unshare', '-m', 'sh', '-c', mount, 'sh'])
      .outcome
  const unseen = await loaded()
  expect([unseen.code, unseen.stdout]).toEqual([4, expect.stringMatching(/LOST +kept: .* whether kexec -s /)])
  const vouched = await loaded('--loaded', '--dry-run')
  expect([vouched.code, vouched.stdout]).toEqual([0, expect.not.stringMatching(/LOST/)])
  expect((await loaded('--loaded', '--kernel', own, '--initrd', 'none')).code).toBe(2)
})

test('memory that would be lost refuses the update, and --ignore allows it by name; a dry run says both', async () => {
  await host.broker.allocate({ name: 'scratch/a', size: MiB })
  const refused = await host.update().outcome
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(
    /NotSaved: scratch\/a \(pid \d+, uid \d+\) is in range main, which does not outlive the kernel; .*nothing has begun/,
  )
  await host.participant('vm-a')
  const dry = await host.update(['--dry-run', '--json']).outcome
  expect(dry.code).toBe(1)
  expect(JSON.parse(dry.stdout)).toMatchObject({
    check: { good: true, commandLine: 'quiet', ranges: [], findings: [{ id: 'volatile' }] },
    participants: [
      {
        name: 'vm-a',
        uid: process.getuid!(),
        pid: expect.any(Number),
        bytes: 0,
        lastSaveMs: null,
        lastDowntimeMs: null,
      },
    ],
    risks: [
      {
        kind: 'memoryEnds',
        allocation: 'scratch/a',
        uid: process.getuid!(),
        pid: process.pid,
        range: 'main',
      },
    ],
    estimateMs: null,
  })
  const text = await host.update(['--dry-run', '--ignore', 'scratch/*']).outcome
  expect(text.code).toBe(0)
  expect(text.stdout).toMatch(/^PARTICIPANT .*LAST DOWNTIME\nvm-a /m)
  expect(text.stdout).toMatch(/Nothing speaks against an update/)
  expect(host.calls).toEqual([])
  const went = host.update(['--ignore', 'nothing', '--ignore', 'scratch/*'])
  await went.said('the host goes down')
  went.child.kill('SIGTERM')
  expect((await went.outcome).code).toBe(130)
})

test('memory that somebody takes while participants save calls the update off, by name', async () => {
  const a = await host.participant(
    'vm-a',
    "tell('asked'); await new Promise(done => process.stdin.once('data', done))",
  )
  const { outcome } = host.update()
  expect(await a.next()).toBe('asked')
  const late = await host.broker.allocate({ name: 'late/a', size: MiB })
  a.say('saved')
  const { code, stderr } = await outcome
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(
      /NotSaved: late\/a \(.* does not outlive the kernel; .*; the update is called off, and everybody/,
    ),
  ])
  await host.everybodyRuns(['sync', host.load, 'kexec -s -u'], a)
  await late.release()
})

test('one at a time: a second one changes nothing', async () => {
  await host.participant('vm-a')
  const first = host.update()
  await first.said('the host goes down')
  const second = await host.update(['--json']).outcome
  expect([second.code, JSON.parse(second.stderr).error]).toEqual([1, 'Busy'])
  expect(JSON.parse(second.stderr).message).toMatch(/is under way; nothing else has begun$/)
  // Not the kernel either, by which the first one goes.
  expect(host.calls).toEqual(['sync', host.load, 'sync', 'kexec -e'])
  expect(await host.state()).toBe('proceeding')
  first.child.kill('SIGTERM')
  expect((await first.outcome).code).toBe(130)
})

test('one at a time: while one writes caches to the disks, nobody loads a kernel', async () => {
  const first = host.update([], { SYNC: 'hang' })
  await until(() => host.hangs, 'the first one is at its sync')
  const second = await host.update(['--json']).outcome
  expect([second.code, JSON.parse(second.stderr)]).toEqual([
    1,
    {
      error: 'Busy',
      message: `another broker-ctl update (pid ${first.child.pid}) is at work; nothing else has begun`,
    },
  ])
  expect(host.calls).toEqual(['sync'])
  host.killHung()
  expect((await first.outcome).stderr).toMatch(/SyncFailed/)
})

test('one at a time: another program begins one meanwhile, and no kernel is loaded', async () => {
  const going = path.join(host.server.folder, 'going')
  host.program('sync', `while [ ! -e ${going} ]; do sleep 0.05; done`)
  const { outcome } = host.update(['--json'])
  await until(() => host.calls.length === 1, 'it is at its sync')
  const other = host.broker.beginUpdate({ deadlineMs: 60_000 })
  await other.next()
  writeFileSync(going, '')
  const { code, stderr } = await outcome
  expect([code, JSON.parse(stderr).error]).toEqual([1, 'Busy'])
  expect(JSON.parse(stderr).message).toMatch(/is under way; nothing else has begun$/)
  expect(host.calls).toEqual(['sync'])
  await other.return()
})

test.each([
  [['--go', 'kexce -e'], 127, /there is no command "kexce"/],
  [['--go', ''], 2, /--go names no command/],
  [['--within', '0'], 2, /from 1 to 3600000/],
  [['--within', '9999999999'], 2, /from 1 to 3600000/],
  [['--deadline', '0'], 2, /from 1 to 3600000/],
  [['--deadline', '3600001'], 2, /from 1 to 3600000/],
])('%j is refused before anything has begun', async (args, exit, words) => {
  const { code, stderr } = await host.update(args).outcome
  expect([code, stderr]).toEqual([exit, expect.stringMatching(words)])
  expect(host.calls).toEqual([])
})

test('without the kernel that was loaded nothing goes: systemd would take another one', async () => {
  if (!needsRoot('a mount')) return
  // A kernel that can't kexec has no such file.
  const folder = path.join(host.server.folder, 'kernel')
  mkdirSync(folder)
  const loaded = path.join(folder, 'kexec_loaded')
  writeFileSync(loaded, '1\n')
  const a = await host.participant('vm-a', `require('node:fs').writeFileSync('${loaded}', '0\\n')`)
  const mount = `mount --bind ${folder} /sys/kernel && exec "$@"`
  const { outcome } = host.update([], {}, ['unshare', '--mount', '--', 'sh', '-c', mount, 'sh'])
  const { code, stderr } = await outcome
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/NotLoaded: somebody has unloaded the next kernel; .* everybody runs\n$/),
  ])
  await host.everybodyRuns(['sync', host.load, 'sync', 'kexec -s -u'], a)
})

test('a tenant holds it up until the deadline, or not at all where it is ignored', async () => {
  if (!needsRoot('a participant of another uid')) return
  await silentTenant('db')
  const a = await host.participant('vm-a')
  const late = await host.update(['--ignore', 'db/*', '--deadline', '10000']).outcome
  expect(late.code).toBe(1)
  expect(late.stderr).toMatch(
    /NotReady: db \(pid \d+, uid 65534\) is late; the update is called off, and everybody runs/,
  )
  await host.everybodyRuns(['sync', host.load, 'kexec -s -u'], a)
  const went = host.update(['--ignore', 'db*'])
  await went.said('the host goes down')
  expect(
    (await host.broker.updateReport()).participants.map(({ name, state: last }) => [name, last]).sort(),
  ).toEqual([
    ['db', 'asked'],
    ['vm-a', 'ready'],
  ])
  went.child.kill('SIGTERM')
  await went.outcome
})

test('a tenant names its participant as another is called: --ignore NAME stands for neither of them', async () => {
  if (!needsRoot('a participant of another uid')) return
  const [ours, theirs] = [0, tenant].map(uid => ({ uid, name: 'vm-a' })) as [Named, Named]
  // Also where it joins when the update is under way.
  const byName = new Ignored(['vm-*'])
  expect([byName.has(ours), byName.has(ours, [ours]), byName.has(ours, [ours, theirs])]).toEqual([
    true,
    true,
    false,
  ])
  await silentTenant('vm-a')
  const a = await host.participant('vm-a', "throw new Error('the disk is full')")
  const ambiguous = await host.update(['--ignore', 'vm-*']).outcome
  expect(ambiguous.stderr).toMatch(
    /Ambiguous: .* several users: write which of (0:vm-a, 65534:vm-a|65534:vm-a, 0:vm-a) is meant; nothing has/,
  )
  expect(host.calls).toEqual([])
  const theirsOnly = ['--ignore', `${tenant}:*`]
  const failed = await host.update(theirsOnly).outcome
  expect(failed.stderr).toMatch(/NotReady: vm-a \(pid \d+, uid 0\) failed: the disk is full; /)
  expect(await a.next()).toMatchObject({ goesOn: expect.any(String) })
  const went = host.update([...theirsOnly, '--ignore', '0:vm-a'])
  await went.said('the host goes down')
  went.child.kill('SIGTERM')
  expect((await went.outcome).code).toBe(130)
})
