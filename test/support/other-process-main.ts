import fs from 'node:fs'
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
const context: ProcessContext = {
  client: new TestClient(socket),
  connect: () => new TestClient(socket),
  native,
  fs,
  state: {},
}

process.on('message', async (message: { id: number; code: string; argument: unknown }) => {
  const { id, code, argument } = message
  try {
    const work = new Function(`return (${code})`)()
    process.send!({ id, value: await work(context, argument) })
  } catch (thrown) {
    const { error, parameters, message: text, code: errno, stack } = thrown as Record<string, unknown>
    process.send!({ id, failed: { error: error ?? errno ?? stack, parameters, message: text } })
  }
})
process.on('disconnect', () => process.exit())
