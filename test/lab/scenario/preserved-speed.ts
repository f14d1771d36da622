import { writeFileSync } from 'node:fs'
import { type Allocation, GiB } from '../../../src/client'
import { percentile } from '../../bench/percentile'
import type { Manager } from '../../service/support/manager'
import type { Host } from '../inside/host'
import { PlainMemfds, retrievePlain } from '../inside/plain-memfds'
import { preservingManager } from '../inside/preserving-manager'
import { luo } from '../kernels'
import { kexec, oneProcessor, type Scenario, stage } from '../scenario'

/** Each kind has a range of its own, so that the broker's log tells their times apart. */
const kinds = ['small', 'huge'] as const
type Kind = (typeof kinds)[number]

const config = kinds
  .map(kind => `[[range]]\nname = "${kind}"\nsource = "memfd"\nbytes = "1GiB"\npreserve = "update"\n`)
  .join('\n')

/** All of a kind. */
const bytes = GiB
const pieces = 4
const rounds = 9

function choosePages(kind: Kind): void {
  writeFileSync('/sys/kernel/mm/transparent_hugepage/shmem_enabled', kind === 'huge' ? 'always' : 'never')
}

const plainMemfds = (kind: Kind) => ({ name: `c-${kind}`, count: pieces })

function fillPlain(kind: Kind): Promise<PlainMemfds> {
  choosePages(kind)
  return PlainMemfds.fill(plainMemfds(kind), bytes / pieces)
}

async function fill(host: Host, kind: Kind): Promise<() => Promise<void>> {
  choosePages(kind)
  const client = await host.connect()
  const made: Allocation[] = []
  for (let index = 0; index < pieces; index++) {
    const size = bytes / pieces
    const allocation = await client.allocate({ name: `${kind}/${index}`, size, range: kind })
    const mapping = await allocation.map()
    mapping.window().fill(0x5a)
    await mapping.close()
    made.push(allocation)
  }
  return async () => {
    for (const allocation of made) await allocation.release()
    await client.close()
  }
}

const huge = (host: Host) => Number(/ShmemHugePages: +(\d+)/.exec(host.read('/proc/meminfo'))?.[1]) * 1024

function tell(host: Host, name: string, ours: readonly number[], c: readonly number[]): void {
  const [mine, plain] = [ours, c].map(all => percentile(all, 50)) as [number, number]
  host.measure(`${name}.oursMs`, round(mine))
  host.measure(`${name}.cMs`, round(plain))
  host.measure(`${name}.moreMs`, round(mine - plain))
  host.measure(`${name}.ratio`, round(mine / plain))
}

const round = (value: number) => Math.round(value * 100) / 100

/** A freeze of the broker beside the ioctls, in turns: the table is preserved as well. */
async function preserve(host: Host): Promise<void> {
  const manager = preservingManager(config)
  await manager.start()
  const client = await host.connect()
  for (const kind of kinds) {
    const plain = await fillPlain(kind)
    const release = await fill(host, kind)
    if (kind === 'huge') host.check(huge(host) >= 2 * bytes, 'all of the pages are large')
    const [ours, c]: [number[], number[]] = [[], []]
    for (let done = 0; done < rounds; done++) {
      c.push(await plain.preserve('round'))
      const from = performance.now()
      await client.freeze('kexec')
      ours.push(performance.now() - from)
      await client.thaw()
      await sessionsEnd(host, manager)
    }
    tell(host, `preserve.${kind}`, ours, c)
    await plain.end()
    await release()
  }
  await client.close()
  await hold(host)
}

const sessionsEnd = (host: Host, manager: Manager) =>
  host.until(async () => !(await manager.stored()).some(name => name.startsWith('=')), 'the sessions end')

async function hold(host: Host): Promise<void> {
  for (const kind of kinds) {
    await (await fillPlain(kind)).preserve('hold')
    await fill(host, kind)
  }
  await host.ctl('freeze', 'kexec')
}

/** The broker's start, by its own log, beside the ioctls. Empty, it has a look at the ids that could have been. */
async function retrieve(host: Host, isFirst: boolean): Promise<void> {
  const c = new Map<Kind, number>()
  const plain = async () => {
    for (const kind of kinds) c.set(kind, (await retrievePlain(host, plainMemfds(kind))).retrieveMs)
  }
  if (isFirst) await plain()
  const manager = preservingManager(config)
  await manager.start()
  if (!isFirst) await plain()
  const online = manager.log.split('\n').filter(line => line.includes('"msg":"range is online"'))
  const took = new Map(online.map(line => JSON.parse(line)).map(({ range, tookMs }) => [range, tookMs]))
  for (const kind of kinds) {
    tell(host, `retrieve.${kind}`, [took.get(kind)!.memory], [c.get(kind)!])
    host.measure(`retrieve.${kind}.tableMs`, round(took.get(kind)!.source))
  }
  const client = await host.connect()
  host.same((await client.rebuild()).claimed.length, kinds.length * pieces, 'claims')
  for await (const { name } of client.list()) await (await client.claim(name)).allocation.release()
  await client.close()
}

const scenario: Scenario = {
  title:
    'what it takes to preserve and to retrieve a GiB of small and of large pages, beside the plain ioctls in C',
  report: true,
  kernel: luo.label,
  unreserved: true,
  machine: [...oneProcessor, '-m', '7G'],
  parameters: ['kho=on', 'liveupdate=on', 'kho_scratch=64M,256M,64M'],
  steps: [
    stage('preserve, in turns with a C program', preserve),
    kexec(),
    stage('retrieve, the C program first', async host => {
      await retrieve(host, true)
      await hold(host)
    }),
    kexec(),
    stage('retrieve, the C program last', host => retrieve(host, false)),
  ],
}
export default scenario
