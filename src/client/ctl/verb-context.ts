import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { type Broker, BrokerError, connect } from '../index'
import { Progress } from './terminal/progress'

/** Options that every verb has. */
export interface CommonOptions {
  socket?: string
  json?: boolean
}

/** What a verb works with while it has a broker. */
export interface VerbContext {
  readonly broker: Broker
  /** Aborts at SIGINT and SIGTERM; its reason is that name. */
  readonly signal: AbortSignal
  /** Writes the JSON form or, for people, the text. */
  print(data: unknown, text: () => string): void
  readonly json: boolean
  /** Shows a person the reason of the wait. */
  readonly progress: Progress
}

/** A person at a terminal is better served by an error than by half a minute of silence. */
const impatientMs = 5_000
/** A service waits: after a boot the broker answers hundreds of them, one after the other. */
const unattendedMs = 120_000
/** For verbs that services start. */
export const launchMs = () => (process.stderr.isTTY ? impatientMs : unattendedMs)
/** For verbs that follow the broker through its restarts: the longest that a timer takes. */
export const patientMs = 2 ** 31 - 1

/** Broken off by the user, once; a second time the default applies and the process ends. */
export function interruptible(): AbortSignal {
  const abort = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => abort.abort(name))
  return abort.signal
}

export function print(json: boolean, data: unknown, text: () => string): void {
  const out = json ? JSON.stringify(data) : text()
  if (out !== '') process.stdout.write(`${out}\n`)
}

/**
 * Runs a verb with a broker connection that ends with it.
 * @param waitMs how long a call waits for a broker that went away
 */
export async function withBroker(
  command: Command,
  run: (context: VerbContext) => Promise<void>,
  waitMs = impatientMs,
): Promise<void> {
  const { socket, json = false } = command.optsWithGlobals<CommonOptions>()
  const signal = interruptible()
  const progress = new Progress(!json)
  const connecting = connect({ socket, reconnect: { timeoutMs: waitMs }, signal })
  const broker = await progress.during('waiting for the broker to answer', connecting)
  try {
    await run({
      broker,
      signal,
      json,
      progress,
      print(data, text) {
        progress.clear()
        print(json, data, text)
      },
    })
  } finally {
    progress.end()
    await broker.close()
  }
}

/** @throws BrokerError Aborted */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {
    throw new BrokerError('Aborted', 'interrupted')
  })
}
