import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../native'
import { TestClient } from './test-broker'

/** What a function run in another process works on. state is its own, from one run to the next. */
export interface ProcessContext {
  client: TestClient
  /** One more connection of the same process. */
  connect: () => TestClient
  native: typeof native
  fs: typeof fs
  // biome-ignore lint/suspicious/noExplicitAny: whatever the test's functions put there
  state: Record<string, any>
}

const socket = process.argv[2]!

/** Whoever floods the broker fills its backlog for a moment. */
async function connected(): Promise<TestClient> {
  for (;;) {
    try {
      return new TestClient(socket)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      await sleep(5)
    }
  }
}

const ready = connected().then(
  (client): ProcessContext => ({ client, connect: () => new TestClient(socket), native, fs, state: {} }),
)

process.on('message', async (message: { id: number; code: string; argument: unknown }) => {
  const { id, code, argument } = message
  const context = await ready
  try {
    const work = new Function(`return (${code})`)()
    process.send!({ id, value: await work(context, argument) })
  } catch (thrown) {
    const { error, parameters, message: text, code: errno, stack } = thrown as Record<string, unknown>
    process.send!({ id, failed: { error: error ?? errno ?? stack, parameters, message: text } })
  }
})
process.on('disconnect', () => process.exit())
