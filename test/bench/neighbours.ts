import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Scrub } from '../../native'
import { chooseSuperblock, pageBytes, superblockOffsets } from '../../protocol/table'
import { formatSize } from '../../protocol/units'
import { TestBroker, type TestClient } from '../support/test-broker'
import { rangeBytesFor, writeCrowd } from './crowd-table'
import { ask, clientProgram } from './pairs'
import { type Report, rowOf } from './rounds'

const crowd = 100_000
const swept = 2 ** 30
/** Looks within one thaw: fewer than fit, as all must come before its end. */
const looks = 500
/** Two uids: who is measured, and who floods. Root does the rest. */
const [measured, flooder] = [65_521, 65_522]
/** Changes of one batch; a few of them fill half of the journal, which begins a checkpoint. */
const changes = 5000

/** A disk's blocks keep their bytes, so the range on a disk is the one whose memory this machine's broker scrubs. */
const config = (directory: string, disk: string, scrubbed: number) => `
[broker]
clients_per_uid_max = 256
${[measured, flooder].map(uid => `[[owner]]\nuid = ${uid}\nbytes_max = "1GiB"\n`).join('')}[admin]
uids = [0]
[[range]]
name = "main"
source = "directory"
path = "${directory}"
bytes = "${rangeBytesFor(crowd)}"
[[range]]
name = "disk"
source = "directory"
path = "${disk}"
bytes = ${scrubbed}
`

/** What others do meanwhile: begins it, and returns how to end it. */
type Disturbance = (broker: TestBroker) => Promise<() => Promise<void>>

const endOf = (child: ChildProcess) =>
  new Promise<void>(resolve => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
  })

/** Another uid, as fast as it can. */
const flood: Disturbance = async broker => {
  const child = spawn(clientProgram(), [broker.socket, 'crowd', '1000000'], { uid: flooder, stdio: 'ignore' })
  await sleep(300)
  return async () => {
    child.kill()
    await endOf(child)
    const client = broker.client()
    const { allocations } = await client.call('ListAllocations', { prefix: 'bench-' })
    for (const { name } of allocations) await client.call('Release', { name })
    client.close()
  }
}

/** A client that asks for all it sees, again and again, and reads nothing. */
const deaf: Disturbance = async broker => {
  const client = broker.client()
  const { channel } = client.caller as unknown as { channel: { pause(): void } }
  channel.pause()
  for (let asked = 0; asked < 60; asked++) client.call('ListAllocations', {}).catch(() => {})
  await sleep(100)
  return async () => client.close()
}

/** Keeps something going until it is told to stop. */
const repeatedly =
  (work: (client: TestClient, round: number) => Promise<unknown>): Disturbance =>
  async broker => {
    const client = broker.client()
    let stopped = false
    const going = (async () => {
      for (let round = 0; !stopped; round++) await work(client, round)
    })()
    await sleep(100)
    return async () => {
      stopped = true
      await going
      client.close()
    }
  }

const checkpoints = repeatedly((client, round) =>
  Promise.all(
    Array.from({ length: 64 }, (_, index) =>
      client.call('SetMetadata', {
        name: `crowd-${(round * 64 + index) % changes}/ram`,
        metadata: { round, text: 'x'.repeat(500) },
      }),
    ),
  ),
)

/** Each checkpoint makes a generation of the superblock. */
const generationOf = (directory: string) => {
  const table = readFileSync(path.join(directory, 'table'))
  const [first, second] = superblockOffsets.map(offset => table.subarray(offset, offset + pageBytes))
  return chooseSuperblock(first!, second!).superblock.generation
}

const verify = repeatedly(async client => {
  const { outcome, verifiedBytes } = await client.call('Verify', { prefix: 'swept' })
  if (verifiedBytes < swept) throw new Error(`the broker read ${verifiedBytes} bytes: ${outcome}`)
})

/** One call that must last for as long as the others are measured. */
async function lasting(client: TestClient, what: string, call: () => Promise<unknown>) {
  let ended = false
  const done = call().finally(() => {
    ended = true
  })
  done.catch(() => {})
  await sleep(20)
  return async () => {
    if (ended) throw new Error(`${what} ended before the others were measured`)
    await done
    client.close()
  }
}

const scrub =
  (bytes: number): Disturbance =>
  async broker => {
    const client = broker.client()
    await client.call('Allocate', { name: 'scrubbed', bytes, range: 'disk' })
    return lasting(client, 'the scrub', () => client.call('Release', { name: 'scrubbed' }))
  }

const thaw: Disturbance = async broker => {
  const client = broker.client()
  await client.call('Freeze', { digests: true })
  return lasting(client, 'the thaw', () => client.call('Thaw', {}))
}

interface NeighbourOptions {
  rounds: number
  grants: number
  scrubBytes: number
}

/** Calls of one client while others do something, beside the same while nobody does anything. Nanoseconds. */
export async function measureNeighbours(
  { rounds, grants, scrubBytes }: NeighbourOptions,
  report: Report,
  progress: (text: string) => void,
): Promise<void> {
  const directory = mkdtempSync('/dev/shm/membroker-bench-')
  const disk = mkdtempSync(path.join(tmpdir(), 'membroker-bench-'))
  await writeCrowd(directory, crowd, { files: true })
  const broker = await TestBroker.start({
    config: config(directory, disk, scrubBytes),
    directory,
    logLevel: 'info',
  })
  chmodSync(broker.folder, 0o755)
  try {
    const client = broker.client()
    await client.call('Allocate', { name: 'swept', bytes: swept })
    const { fds } = await client.call('CreateMapping', { name: 'swept' })
    await new Scrub(fds[0]!, 0, swept, 1).errno
    await client.call('Freeze', { digests: true })
    await client.call('Thaw', {})
    const grant = async () => (await ask(broker.socket, 'grant', grants, measured)).mappedP99!
    const look = async () => (await ask(broker.socket, 'look', looks, measured)).lookP99!
    const compare = async (what: string, call: () => Promise<number>, begin: Disturbance) => {
      progress(what)
      const [quiet, busy]: [number[], number[]] = [[], []]
      for (let round = 0; round < rounds; round++) {
        quiet.push(await call())
        const end = await begin(broker)
        busy.push(await call())
        await end()
      }
      report(rowOf(`p99 of a ${what}`, busy, { idle: quiet }))
    }
    await grant()
    await compare('grant while one uid floods', grant, flood)
    await compare('grant while one never reads', grant, deaf)
    const periods: number[] = []
    await compare('grant while checkpoints are written', grant, async broker => {
      const [before, from] = [generationOf(directory), performance.now()]
      const end = await checkpoints(broker)
      return async () => {
        await end()
        periods.push(((performance.now() - from) * 1e6) / (generationOf(directory) - before))
      }
    })
    report(rowOf('from one checkpoint to the next, for half of which it is written', periods, {}))
    await compare('grant while the broker digests memory', grant, verify)
    await compare(`grant while the broker scrubs ${formatSize(scrubBytes)}`, grant, scrub(scrubBytes))
    await client.call('Release', { name: 'swept' })
    await client.call('Allocate', { name: 'bench-1', bytes: 4096, uid: measured })
    client.close()
    // A freeze refuses grants.
    await compare(`look while ${crowd} digests are thawed`, look, thaw)
  } finally {
    await broker.dispose()
    for (const folder of [directory, disk]) rmSync(folder, { recursive: true, force: true })
  }
}
