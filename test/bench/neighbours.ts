import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Scrub } from '../../native'
import { TestBroker, type TestClient } from '../support/test-broker'
import { rangeBytesFor, writeCrowd } from './crowd-table'
import { ask, clientProgram } from './pairs'
import { type Report, rowOf } from './rounds'

const crowd = 100_000
const swept = 2 ** 30
/** Two uids: who is measured, and who floods. Root does the rest. */
const [measured, flooder] = [65_521, 65_522]
/** Changes of one batch; a few of them fill half of the journal, which begins a checkpoint. */
const changes = 5000

const config = (directory: string) => `
[broker]
clients_per_uid_max = 256
${[measured, flooder].map(uid => `[[owner]]\nuid = ${uid}\nbytes_max = "1GiB"\n`).join('')}[admin]
uids = [0]
[[range]]
name = "main"
source = "directory"
path = "${directory}"
bytes = "${rangeBytesFor(crowd)}"
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

/** Grants of one client while others do something, beside the same while nobody does anything. Nanoseconds. */
export async function measureNeighbours(
  grants: number,
  rounds: number,
  report: Report,
  progress: (text: string) => void,
): Promise<void> {
  const directory = mkdtempSync('/dev/shm/membroker-bench-')
  await writeCrowd(directory, crowd, { files: true })
  const broker = await TestBroker.start({ config: config(directory), directory, logLevel: 'info' })
  chmodSync(broker.folder, 0o755)
  try {
    const client = broker.client()
    await client.call('Allocate', { name: 'swept', bytes: swept })
    const { fds } = await client.call('CreateMapping', { name: 'swept' })
    await new Scrub(fds[0]!, 0, swept, 1).errno
    await client.call('Freeze', { digests: true })
    await client.call('Thaw', {})
    client.close()
    const verify = repeatedly(async client => {
      const { outcome, verifiedBytes } = await client.call('Verify', { prefix: 'swept' })
      if (verifiedBytes < swept) throw new Error(`the broker read ${verifiedBytes} bytes: ${outcome}`)
    })
    const disturbances: Record<string, Disturbance> = {
      'one uid floods': flood,
      'one never reads': deaf,
      'checkpoints are written': checkpoints,
      'the broker digests memory': verify,
    }
    await ask(broker.socket, 'grant', grants, measured)
    for (const [what, begin] of Object.entries(disturbances)) {
      progress(`grants while ${what}`)
      const [quiet, busy]: [number[], number[]] = [[], []]
      for (let round = 0; round < rounds; round++) {
        quiet.push((await ask(broker.socket, 'grant', grants, measured)).mappedP99!)
        const end = await begin(broker)
        busy.push((await ask(broker.socket, 'grant', grants, measured)).mappedP99!)
        await end()
      }
      report(rowOf(`p99 of a grant while ${what}`, busy, { idle: quiet }))
    }
  } finally {
    await broker.dispose()
    rmSync(directory, { recursive: true, force: true })
  }
}
