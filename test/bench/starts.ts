import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runNow } from '../support/child'
import { packageRoot } from '../support/package-root'
import { TestBroker } from '../support/test-broker'
import { percentile } from './percentile'

/** Milliseconds from start to finish, and those of processor time, of the broker's main thread alone. */
interface Took {
  wall: number
  processor: number
}

/** Medians, beside those of 'node -e 0' in the same turns. Processor time holds on a busy machine too. */
export interface Start {
  name: string
  took: Took
  node: Took
}

export interface Starts {
  figures: Start[]
  /** Of 'node -e 0': how far its slow tenth is from its quick one. */
  spread: number
}

const allocations = 1000
const claimer = path.join(packageRoot, 'dist/test/bench/claimer.js')
const program = (name: string) => path.join(packageRoot, 'dist/program', `${name}.js`)

/** From a process' start to its first output, or to its end without one. */
async function firstWord(argsOf: () => readonly string[]): Promise<Took> {
  const args = argsOf()
  const from = performance.now()
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  await Promise.race([once(child.stdout, 'data'), closed])
  const wall = performance.now() - from
  await closed
  // Node does not say what a child has used; bash does.
  const script = 'TIMEFORMAT="%U %S"; time "$0" "$@" >/dev/null'
  const [user, system] = runNow('bash', ['-c', `{ ${script}; } 2>&1`, process.execPath, ...argsOf()]).split(
    ' ',
  )
  return { wall, processor: (Number(user) + Number(system)) * 1000 }
}

/** A configured broker, from its start to its first answered claim. */
async function brokerStart(broker: TestBroker): Promise<Took> {
  await broker.kill()
  const from = performance.now()
  const started = broker.start()
  for (;;) {
    try {
      const client = broker.client()
      await client.call('Claim', { name: 'start/0' })
      const wall = performance.now() - from
      const main = `/proc/${broker.pid}/task/${broker.pid}/schedstat`
      const processor = Number(readFileSync(main, 'latin1').split(' ')[0]) / 1e6
      client.close()
      await started
      return { wall, processor }
    } catch {
      // The socket is the last broker's until the new one has bound its own.
      await sleep(1)
    }
  }
}

const walls = (times: readonly Took[]) => times.map(({ wall }) => wall)
const medianOf = (times: readonly Took[]): Took => ({
  wall: percentile(walls(times), 50),
  processor: percentile(
    times.map(({ processor }) => processor),
    50,
  ),
})

/** The programs take turns, so that what disturbs one disturbs all. */
export async function measureStarts(turns: number): Promise<Starts> {
  const directory = mkdtempSync('/dev/shm/membroker-bench-')
  const config = `[[range]]\nname = "main"\nsource = "directory"\nbytes = "256MiB"\npath = "${directory}"\n`
  const broker = await TestBroker.start({ directory, config, logLevel: 'info' })
  try {
    // By a process of its own: this one is to find them unclaimed.
    execFileSync(process.execPath, [claimer, broker.socket, 'fill', 'start/', String(allocations)])
    const ctl = [program('broker-ctl'), '--socket', broker.socket]
    const ways: Record<string, () => Promise<Took>> = {
      node: () => firstWord(() => ['-e', '0']),
      [`broker start to first claim, ${allocations} allocations`]: () => brokerStart(broker),
      'broker-ctl status': () => firstWord(() => [...ctl, 'status']),
      'broker-ctl exec to the command running': () =>
        firstWord(() => [...ctl, 'exec', '--map', `start/${++claimed}`, '--', 'echo', 'running']),
    }
    let claimed = 0
    const times: Record<string, Took[]> = {}
    for (let turn = -1; turn < turns; turn++)
      for (const [name, measure] of Object.entries(ways)) {
        const took = await measure()
        if (turn >= 0) times[name] = [...(times[name] ?? []), took]
      }
    const { node = [], ...others } = times
    return {
      figures: Object.entries(others).map(([name, took]) => ({
        name,
        took: medianOf(took),
        node: medianOf(node),
      })),
      spread: percentile(walls(node), 90) / percentile(walls(node), 10),
    }
  } finally {
    await broker.dispose()
    rmSync(directory, { recursive: true, force: true })
  }
}
