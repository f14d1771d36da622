import { existsSync, readdirSync, statSync } from 'node:fs'
import type { Host } from '../inside/host'
import { persistentDevices, persistentParameters } from '../inside/persistent-memory'
import { digest, fillWithPattern } from '../inside/physical-memory'
import { UnchangedPrograms } from '../inside/unchanged-programs'
import { kexec, type Scenario, stage } from '../scenario'

const KiB = 2 ** 10
const MiB = 2 ** 20
const filesystems = ['ext4', 'xfs'] as const
const owner = 1000
const prefix = 'kept'
const sizes = [4 * KiB, MiB + 4 * KiB, 2 * MiB, 8 * MiB]
/** Otherwise the filesystems commit by themselves after some seconds. */
const lazily = { ext4: 'commit=10000', xfs: 'noatime' }
const config = `
${filesystems.map(range).join('')}
[[range]]
name = "tmpfs"
source = "directory"
path = "/dev/shm/membroker"
bytes = "64MiB"
preallocate = true

[[owner]]
uid = ${owner}
open_by_path = true
bytes_max = "128MiB"
`

function range(name: string): string {
  return `
[[range]]
name = "${name}"
source = "directory"
path = "/mnt/${name}/membroker"
bytes = "128MiB"
`
}

async function mount(host: Host): Promise<void> {
  const device = await persistentDevices(host)
  await host.sh('echo 720000 >/proc/sys/fs/xfs/xfssyncd_centisecs')
  for (const name of filesystems)
    await host.sh(
      `mkdir -p /mnt/${name} && mount -t ${name} -o dax=always,${lazily[name]} ${device[name]} /mnt/${name}`,
    )
}

async function begin(host: Host): Promise<void> {
  const device = await persistentDevices(host)
  await host.sh(
    `/usr/bin/mke2fs -q -t ext4 -b 4096 -E stride=512 -F ${device.ext4} && mkfs.xfs -q -m reflink=0 -f ${device.xfs}`,
  )
  await exceptions(host, device.inode)
  await mount(host)
  await host.broker(config)
  await fill(host)
  await programs(host).fill('xfs')
}

const programs = (host: Host) => new UnchangedPrograms(host, owner, '/mnt/xfs/programs')

/** What the kernel maps without DAX is no memory that survives a kexec, and the broker says so. */
async function exceptions(host: Host, device: string): Promise<void> {
  await host.sh(
    `/usr/bin/mke2fs -q -t ext4 -b 4096 -F ${device} && mkdir -p /mnt/inode && mount -t ext4 -o dax=inode ${device} /mnt/inode`,
  )
  await host.sh('mkdir -m 700 -p /mnt/inode/with /mnt/inode/without && /usr/bin/chattr +x /mnt/inode/with')
  const small = (name: string) =>
    range(name).replace('/membroker', '').replace('/mnt/', '/mnt/inode/').replace('128MiB', '8MiB')
  const broker = await host.broker(`${small('with')}${small('without')}`)
  const client = await host.connect()
  const survives = (await client.ranges()).map(({ name, capabilities }) => [name, capabilities.survivesKexec])
  host.same(
    survives,
    [
      ['with', true],
      ['without', false],
    ],
    'which survives a kexec',
  )
  host.check(
    /mount \/mnt\/inode with -o dax=always/.test(host.read(host.file('broker.log'))),
    'the log says how the other would',
  )
  await client.allocate({ name: 'direct', size: MiB, range: 'with' })
  await host.sh('/usr/bin/chattr -x /mnt/inode/with')
  const refused = await client.allocate({ name: 'copied', size: MiB, range: 'with' }).catch(error => error)
  host.check(/without DAX/.test(String(refused)), `a file without DAX is refused: ${refused}`)
  host.check(!existsSync('/mnt/inode/with/alloc-2'), 'nothing of it is left')
  await client.close()
  await broker.stop()
  // The attribute of a file that is there counts from the next mount on.
  await host.sh('/usr/bin/chattr -x /mnt/inode/with/alloc-1; umount /mnt/inode')
  await host.sh(`mount -t ext4 -o dax=inode ${device} /mnt/inode`)
  await (await host.broker(small('with'))).stop()
  host.check(/alloc-1 without DAX/.test(host.read(host.file('broker.log'))), 'the log says so of a file')
  await host.sh('umount /mnt/inode')
}

const nameOf = (range: string, size: number, uid = 0) => `${prefix}/${range}/${size}/${uid}`

/** Nothing in it is synced: what the broker has answered must be there after a kexec without warning. */
async function fill(host: Host): Promise<void> {
  const client = await host.connect()
  const digests: Record<string, string> = {}
  const paths: Record<string, string | undefined> = {}
  for (const range of filesystems) {
    for (const size of sizes) {
      const name = nameOf(range, size)
      const window = (await (await client.allocate({ name, size, range })).map()).window()
      fillWithPattern(window, size)
      digests[name] = digest(window)
    }
    const ofOwner = nameOf(range, 2 * MiB, owner)
    await host.ctl('allocate', ofOwner, '2M', '--range', range, '--owner', String(owner))
    paths[ofOwner] = (await client.get(ofOwner)).path
    const grown = await client.allocate({ name: `${prefix}/${range}/grown`, size: MiB, range })
    await grown.grow(3 * MiB)
    const window = (await grown.map()).window()
    fillWithPattern(window, 7)
    digests[grown.name] = digest(window)
    const gone = await client.allocate({ name: `${prefix}/${range}/gone`, size: 2 * MiB, range })
    host.same(await gone.release(), 'released', 'release')
  }
  for (const range of [...filesystems, 'tmpfs'])
    host.measure(`${range}AllocateMs`, await allocateMs(host, range))
  host.remember('digests', digests)
  host.remember('paths', paths)
}

/** Of 2 MiB: mean of several. */
async function allocateMs(host: Host, range: string): Promise<number> {
  const client = await host.connect()
  const rounds = 10
  const from = performance.now()
  for (let round = 0; round < rounds; round++)
    await client.allocate({ name: `timed/${range}/${round}`, size: 2 * MiB, range })
  const ms = (performance.now() - from) / rounds
  for (let round = 0; round < rounds; round++)
    await (await client.allocation(`timed/${range}/${round}`)).release()
  await client.close()
  return ms
}

interface Listed {
  id: number
  name: string
  bytes: number
  uid: number
  range: string
}

/** Everything is there, the bytes too; what was released is not. */
async function check(host: Host): Promise<void> {
  await mount(host)
  await host.broker(config)
  const client = await host.connect()
  const digests = host.recall<Record<string, string>>('digests')
  const paths = host.recall<Record<string, string>>('paths')
  const listed = (JSON.parse(await host.ctl('list', '--json')) as Listed[]).filter(({ name }) =>
    name.startsWith(`${prefix}/`),
  )
  const made = filesystems.flatMap(range => [
    ...sizes.map(size => nameOf(range, size)),
    nameOf(range, 2 * MiB, owner),
    `${prefix}/${range}/grown`,
  ])
  host.same(listed.map(({ name }) => name).sort(), made.sort(), 'allocations')
  for (const { id, name, bytes, uid, range } of listed) {
    const folder = `/mnt/${range}/membroker`
    const file = readdirSync(folder).find(file => new RegExp(`^alloc-${id}(-|$)`).test(file))!
    const stat = statSync(`${folder}/${file}`)
    host.same([stat.size, stat.uid, stat.mode & 0o777], [bytes, uid, 0o600], name)
    if (uid === owner)
      host.same([`${folder}/${file}`, (await client.get(name)).path], [paths[name], paths[name]], 'path')
  }
  const { claimed, notClaimed } = await client.rebuild({ prefix: `${prefix}/` })
  host.same(notClaimed, [], 'what could not be claimed')
  for (const { allocation, mappings } of claimed)
    host.same(digest(mappings[0]!.window()), digests[allocation.name], allocation.name)
  host.same(claimed.length, Object.keys(digests).length, 'claims')
  await client.close()
}

const scenario: Scenario = {
  title:
    'directory on DAX: a kexec without warning keeps all that was answered, on ext4 and xfs, and the data of unchanged programs',
  parameters: persistentParameters,
  steps: [
    stage('allocate, write, release, nothing synced', begin),
    kexec({ into: '7.2', abrupt: true }),
    stage('all of it is there', check),
    stage('memcached and LMDB have their data', host => programs(host).find()),
  ],
}
export default scenario
