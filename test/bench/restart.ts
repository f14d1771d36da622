import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Broker, BrokerError, connect } from '../../src/client'

/** From the start of a broker process until the last claim was answered, in milliseconds: the client's clock, and the broker's log. */
export interface Restart {
  claims: number
  total: number
  /** Until the broker's process has come to its first range. */
  process: number
  /** The range's memory found, and its table opened. */
  source: number
  /** The table read, and what it says indexed. */
  table: number
  /** The memory of each allocation made sure of; on device-DAX, its instance made. */
  memory: number
  /** From the broker's first answer to the last claim in the client's hands, each with a descriptor. */
  replies: number
}

/** A program that started a broker, and the client that claimed everything from it. */
interface Restarted {
  figures: Restart
  child: ChildProcess
  client: Broker
}

type Times = Record<string, number>

const pollMs = 2

/** Starts a broker and claims all of a prefix, as the first program after a kexec does. Its standard error must be JSON lines of level info. */
export async function measureRestart(
  command: readonly [string, ...string[]],
  socket: string,
  prefix: string,
): Promise<Restarted> {
  const [file, ...args] = command
  const from = performance.now()
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    log += text
  })
  const client = await firstAnswer(socket, child, () => log)
  const answered = performance.now()
  const { claimed, notClaimed } = await client.rebuild({ prefix })
  const done = performance.now()
  if (notClaimed.length > 0) throw new Error(`${notClaimed.length} allocations were not claimed`)
  const took = (message: string) => timesOf(log, message)
  while (!log.includes('"msg":"ready"')) await sleep(pollMs)
  const { source, table, memory } = took('range is online')
  const figures = {
    ...{ claims: claimed.length, total: done - from, process: took('ready').process! },
    ...{ source: source!, table: table!, memory: memory!, replies: done - answered },
  }
  return { figures, child, client }
}

/** The socket is there before the ranges are: who connects by then is answered as soon as they are. */
async function firstAnswer(socket: string, child: ChildProcess, log: () => string): Promise<Broker> {
  for (;;) {
    try {
      return await connect({ socket })
    } catch (error) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`the broker ended:\n${log().slice(-4000)}`)
      if (!(error instanceof BrokerError && error.code === 'BrokerUnreachable')) throw error
    }
    await sleep(pollMs)
  }
}

function timesOf(log: string, message: string): Times {
  const line = log.split('\n').find(text => text.includes(`"msg":"${message}"`))
  if (line === undefined) throw new Error(`the broker's log does not say '${message}':\n${log.slice(-4000)}`)
  return (JSON.parse(line) as { tookMs: Times }).tookMs
}
