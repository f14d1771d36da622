import { mkdtempSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { TestBroker, type TestClient } from '../support/test-broker'

const pageBytes = 4096
/** Between two lots of changes. */
const tickMs = 20
/** Allocations that are released again, so that free memory is not in one piece: one of so many. */
const holeEvery = 500

/** A real broker with a console and a range for so many small allocations. */
export async function startCrowdedBroker(allocations: number): Promise<TestBroker> {
  const directory = mkdtempSync('/dev/shm/membroker-crowd-')
  const broker = await TestBroker.start({
    logLevel: 'info',
    config: `[console]
listen = "127.0.0.1:0"
[[range]]
name = "guests"
source = "directory"
path = "${directory}"
bytes = "${Math.ceil(allocations / 1000) * 12 + 64}MiB"
table_bytes = "512MiB"
`,
  })
  const dispose = broker.dispose.bind(broker)
  broker.dispose = async () => {
    await dispose()
    rmSync(directory, { recursive: true, force: true })
  }
  return broker
}

export async function fill(
  client: TestClient,
  allocations: number,
  progress: (text: string) => void,
): Promise<void> {
  const inFlight = 64
  let next = 0
  const worker = async () => {
    while (next < allocations) {
      const i = next++
      await client.call('Allocate', { name: nameOf(i), bytes: pageBytes * (1 + (i % 3)) })
      if (i % 10_000 === 0) progress(`${i} allocations`)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  for (let i = 0; i < allocations; i += holeEvery) await client.call('Release', { name: nameOf(i) })
}

export const nameOf = (index: number) => `vm-${index}/ram`

/** Whether it was released again. */
export const isHole = (index: number) => index % holeEvery === 0

/** Changes at a steady rate until told to stop: metadata, and memory that comes and goes. */
export async function churn(
  client: TestClient,
  allocations: number,
  eventsPerSecond: number,
  stop: AbortSignal,
): Promise<void> {
  let round = 0
  let due = 0
  let last = performance.now()
  const pending: Array<Promise<unknown>> = []
  while (!stop.aborted) {
    const now = performance.now()
    due += ((now - last) / 1000) * eventsPerSecond
    last = now
    for (; due >= 1; round++) {
      const name = nameOf(((round * 7919) % (allocations - 1)) + 1)
      if (round % 20 !== 0) {
        pending.push(client.call('SetMetadata', { name, metadata: { round } }).catch(() => {}))
        due -= 1
      } else {
        const made = client.call('Allocate', { name: `churn-${round}`, bytes: pageBytes })
        pending.push(made.then(() => client.call('Release', { name: `churn-${round}` })).catch(() => {}))
        due -= 5
      }
    }
    await sleep(tickMs)
    if (pending.length > 10_000) await Promise.all(pending.splice(0))
  }
  await Promise.all(pending)
}
