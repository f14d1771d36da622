/**
 * Proves the permanent path of an owner with open_by_path: it stays the same over a kill of the broker, leads that uid alone to
 * its memory, and shows nobody the memory of others; who opens it is a holder like any other; and the path follows policy and
 * owner.
 */
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runNow } from '../support/child'
import { leaksNothing } from '../support/leaks-nothing'
import { needsHugePages } from '../support/needs-huge-pages'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'

const MiB = 2 ** 20
const size = 2 * MiB
const [owner, neighbour, other] = [65534, 65533, 65532]
const filesystems = [
  ['tmpfs', needsRoot('a path for one uid'), ['-t', 'tmpfs', '-o', 'size=32M,mode=700']],
  [
    'hugetlbfs',
    needsHugePages('a path to huge pages'),
    ['-t', 'hugetlbfs', '-o', 'pagesize=2M,size=28M,mode=700'],
  ],
] as const

/** Lets a uid read and write a file by an access list: version 2, and entries of tag, permissions and id. */
const giveAccess = `
import os, struct, sys
entries = [(1, 6, -1), (2, 6, int(sys.argv[2])), (4, 0, -1), (16, 6, -1), (32, 0, -1)]
text = struct.pack('<I', 2) + b''.join(struct.pack('<HHi', *entry) for entry in entries)
os.setxattr(sys.argv[1], 'system.posix_acl_access', text)
`

describe.each(filesystems.filter(([, usable]) => usable))('on %s', (filesystem, _, options) => {
  let directory: string
  let broker: TestBroker

  beforeEach(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'membroker-path-'))
    runNow('mount', [...options, 'none', directory])
    const owners = [
      [owner, true],
      [neighbour, true],
      [other, false],
    ] as const
    const config = owners
      .map(([uid, opens]) => `[[owner]]\nuid = ${uid}\nbytes_max = "16MiB"\nopen_by_path = ${opens}\n`)
      .join('')
    const range = `[[range]]\nname = "main"\nsource = "directory"\nbytes = "20MiB"\npath = "${directory}"\n`
    broker = await TestBroker.start({ directory, config: `[revoke]\ngrace_ms = 0\n${range}${config}` })
    chmodSync(broker.folder, 0o755)
  })
  afterEach(async () => {
    await OtherProcess.killAll()
    await broker.dispose()
    runNow('umount', [directory])
    rmSync(directory, { recursive: true })
  })

  const as = (uid: number) => OtherProcess.start(broker.socket, { uid })
  const pathIn = async (name: string) => (await broker.ask('GetAllocation', { name })).path
  const allocate = (of: OtherProcess, name: string) =>
    of.run(
      async ({ client }, input) => {
        await client.call('Allocate', input)
        return (await client.call('GetAllocation', { name: input.name })).path
      },
      { name, bytes: size },
    )
  /** What each of these is answered by the system: its errno's name, or yes. */
  const attempts = (of: OtherProcess, place: string) =>
    of.run(({ fs }, place) => {
      const folder = place.slice(0, place.lastIndexOf('/'))
      const answer = (attempt: () => void) => {
        try {
          attempt()
          return 'yes'
        } catch (error) {
          return (error as NodeJS.ErrnoException).code
        }
      }
      return {
        open: answer(() => fs.closeSync(fs.openSync(place, 'r+'))),
        list: answer(() => fs.readdirSync(folder)),
        guess: answer(() => fs.statSync(place.replace(/-[0-9a-f]{32}$/, ''))),
        unlink: answer(() => fs.unlinkSync(place)),
        rename: answer(() => fs.renameSync(place, `${folder}/mine`)),
        create: answer(() => fs.writeFileSync(`${folder}/new`, '')),
        table: answer(() => fs.openSync(`${folder}/table`, 'r')),
      }
    }, place)
  const denied = {
    list: 'EACCES',
    guess: 'ENOENT',
    unlink: 'EACCES',
    rename: 'EACCES',
    create: 'EACCES',
    table: 'EACCES',
  }

  test('other files in the folder, as at the root of a filesystem, do not keep the next broker from it', async () => {
    mkdirSync(path.join(directory, 'lost+found'))
    const place = await allocate(await as(owner), 'db')
    expect(statSync(directory).mode & 0o777).toBe(0o711)
    await OtherProcess.killAll()
    await broker.kill()
    await broker.start()
    expect(await pathIn('db')).toBe(place)
  })

  test('one uid gets through, to its own memory only; the path stays the same', async () => {
    const mine = await as(owner)
    const place = (await allocate(mine, 'mine'))!
    expect(place).toMatch(new RegExp(`^${directory}/alloc-\\d+-[0-9a-f]{32}$`))
    expect(await attempts(mine, place)).toEqual({ open: 'yes', ...denied })
    const [next, last] = [await as(neighbour), await as(other)]
    for (const stranger of [next, last])
      expect(await attempts(stranger, place)).toEqual({ open: 'EACCES', ...denied })
    expect(await allocate(last, 'closed')).toBeNull()
    expect(await pathIn('closed')).toBeNull()
    await mine.run(async ({ client }, uid) => {
      await client.call('Share', { name: 'mine', uid, access: 'readWrite' })
    }, neighbour)
    expect(
      await next.run(async ({ client }) => (await client.call('GetAllocation', { name: 'mine' })).path),
    ).toBeNull()
    expect(await pathIn('mine')).toBe(place)

    if (filesystem === 'tmpfs')
      await mine.run(({ fs }, place) => fs.writeFileSync(place, 'kept', { flag: 'r+' }), place)
    const { ino } = statSync(place)
    await broker.restart()
    const again = await as(owner)
    expect([await pathIn('mine'), statSync(place).ino]).toEqual([place, ino])
    expect(await attempts(again, place)).toEqual({ open: 'yes', ...denied })
    if (filesystem === 'tmpfs') expect(readFileSync(place, 'latin1').slice(0, 4)).toBe('kept')
  })

  test('who opens it needs no claim, is named, and keeps the memory from reuse and on the account of its owner', () =>
    leaksNothing(broker, async () => {
      const [holder, opener] = [await as(owner), await as(owner)]
      const place = (await allocate(holder, 'mine'))!
      await holder.kill()
      await opener.run(({ fs, state }, place) => {
        state.fd = fs.openSync(place, 'r+')
      }, place)
      const show = () => broker.ask('GetAllocation', { name: 'mine', holders: true })
      // A look has a bound: on a busy host it may not have come to every process.
      await until(async () => (await show()).others!.pids.join() === String(opener.pid), 'it is named')
      expect((await show()).allocation.holderPid ?? null).toBeNull()

      expect(await broker.ask('Release', { name: 'mine' })).toMatchObject({
        outcome: 'quarantined',
        step: expect.stringContaining(`held by process ${opener.pid}`),
      })
      const status = await broker.ask('GetStatus', {})
      expect(status.retired).toMatchObject([{ allocation: 'mine', uid: owner, bytes: size }])
      expect(status.usage).toMatchObject([{ uid: owner, bytes: size }])
      // From here on it has what it has; the same name is another path.
      expect((await attempts(opener, place)).open).toBe('EACCES')
      const second = (await allocate(opener, 'mine'))!
      expect(second).not.toBe(place)
      await opener.run(({ fs, state }) => fs.closeSync(state.fd))
      await until(async () => (await broker.ask('GetStatus', {})).retired.length === 0, 'it is free')
      expect(existsSync(place)).toBe(false)
      expect((await attempts(opener, second)).open).toBe('yes')
    }))

  test('a program that empties its file has zeros of the same size again, and the verdict says so', () =>
    leaksNothing(broker, async () => {
      const mine = await as(owner)
      const place = (await allocate(mine, 'mine'))!
      await mine.run(({ fs }, place) => fs.closeSync(fs.openSync(place, 'w+')), place)
      const found = async () => (await broker.ask('GetAllocation', { name: 'mine' })).allocation.verdict
      await until(async () => (await found()) === 'changed', 'the broker has noticed')
      expect(statSync(place).size).toBe(size)
      expect(await pathIn('mine')).toBe(place)
    }))

  test('it stays over a shrink and a grow, and a refused shrink', async () => {
    const mine = await as(owner)
    const place = (await mine.run(async ({ client }, bytes) => {
      await client.call('Allocate', { name: 'mine', bytes })
      return (await client.call('GetAllocation', { name: 'mine' })).path
    }, 2 * size))!
    const other = await as(owner)
    await other.run(({ fs, state }, place) => {
      state.fd = fs.openSync(place, 'r+')
    }, place)
    const shrink = () => mine.run(({ client }, bytes) => client.call('Shrink', { name: 'mine', bytes }), size)
    // On tmpfs an open file is cut as well.
    if (filesystem === 'hugetlbfs') {
      await expect(shrink()).rejects.toMatchObject({ error: 'io.membroker.Broker.SourceFailed' })
      expect([await pathIn('mine'), (await attempts(mine, place)).open]).toEqual([place, 'yes'])
    }
    await other.kill()
    await until(() => shrink().then(Boolean, () => false), 'it is shrunk')
    expect([await pathIn('mine'), (await attempts(mine, place)).open]).toEqual([place, 'yes'])
    expect(statSync(place).size).toBe(size)
    await mine.run(({ client }, bytes) => client.call('Grow', { name: 'mine', bytes }), 2 * size)
    expect([await pathIn('mine'), statSync(place).size]).toEqual([place, 2 * size])
  })

  if (filesystem === 'tmpfs')
    test('a full filesystem refuses its program new pages, and the broker goes on', async () => {
      const mine = await as(owner)
      const place = (await allocate(mine, 'mine'))!
      const fill = path.join(directory, 'fill')
      const { bfree, bsize } = statfsSync(directory)
      writeFileSync(fill, Buffer.alloc(bfree * bsize))
      const write = () =>
        mine.run(({ fs }, place) => {
          const fd = fs.openSync(place, 'r+')
          try {
            return fs.writeSync(fd, 'x'.repeat(4096))
          } finally {
            fs.closeSync(fd)
          }
        }, place)
      await expect(write()).rejects.toMatchObject({ error: 'ENOSPC' })
      expect(await pathIn('mine')).toBe(place)
      rmSync(fill)
      expect(await write()).toBe(4096)
      expect((await broker.ask('GetAllocation', { name: 'mine' })).residentBytes).toBe(4096)
    })

  test('a new owner has a file without the names and the access list of the former one, or refuses it', async () => {
    const mine = await as(owner)
    const place = (await allocate(mine, 'mine'))!
    await mine.kill()
    const give = () => broker.ask('Give', { name: 'mine', uid: neighbour })
    const more = path.join(directory, 'more')
    linkSync(place, more)
    await expect(give()).rejects.toMatchObject({
      parameters: { operation: expect.stringContaining('has given its file 1 more names') },
    })
    expect((await attempts(await as(owner), place)).open).toBe('yes')
    await OtherProcess.killAll()
    rmSync(more)
    if (filesystem === 'tmpfs') runNow('python3', ['-c', giveAccess, place, String(owner)])
    await until(() => give().then(Boolean, () => false), 'nobody holds it')
    const next = (await pathIn('mine'))!
    expect(next).toMatch(/-[0-9a-f]{32}$/)
    expect([existsSync(place), statSync(next).uid]).toEqual([false, neighbour])
    expect(runNow('python3', ['-c', 'import os, sys; print(os.listxattr(sys.argv[1]))', next]).trim()).toBe(
      '[]',
    )
  })

  test('it follows the owner, and the policy at the next start', async () => {
    const mine = await as(owner)
    let place = (await allocate(mine, 'mine'))!
    const openers = async () => {
      const all = await Promise.all([owner, neighbour, other].map(as))
      const answers = await Promise.all(all.map(one => attempts(one, place)))
      return answers.map(({ open }) => open)
    }
    await mine.kill()
    expect(await openers()).toEqual(['yes', 'EACCES', 'EACCES'])
    await until(
      async () => !(await broker.ask('GetAllocation', { name: 'mine' })).allocation.holderPid,
      'it is free',
    )
    await broker.ask('Give', { name: 'mine', uid: neighbour })
    const former = place
    place = (await pathIn('mine'))!
    expect([existsSync(former), await openers()]).toEqual([false, ['EACCES', 'yes', 'EACCES']])
    await broker.ask('Give', { name: 'mine', uid: other })
    expect([await pathIn('mine'), existsSync(place)]).toEqual([null, false])
    await broker.ask('Give', { name: 'mine', uid: owner })
    place = (await pathIn('mine'))!
    expect(await openers()).toEqual(['yes', 'EACCES', 'EACCES'])

    const config = readFileSync(broker.configFile, 'utf8')
    writeFileSync(broker.configFile, config.replaceAll('open_by_path = true', ''))
    await broker.restart()
    expect([await pathIn('mine'), await openers()]).toEqual([null, ['EACCES', 'EACCES', 'EACCES']])
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    writeFileSync(broker.configFile, config)
    await broker.restart()
    expect([await pathIn('mine'), await openers()]).toEqual([place, ['yes', 'EACCES', 'EACCES']])
  })
})
