import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { parseSize } from '../../../protocol/units'
import { type Broker, BrokerError, connect } from '../index'
import { UsageError } from './exit'
import { Progress } from './terminal/progress'

/** Options that every verb has. */
export interface CommonOptions {
  socket?: string
  json?: boolean
}

/** The tools of a verb. */
export interface Session {
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
  run: (session: Session) => Promise<void>,
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

/** Argument parsers for commander; it shows the message. */
export function sizeArgument(text: string): number {
  const bytes = parseSize(text)
  if (bytes === undefined)
    throw new UsageError(`${JSON.stringify(text)} is not a size: write 4G, 512M, 2MiB or bytes`)
  return bytes
}

export function wholeArgument(text: string): number {
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value)) throw new UsageError(`${JSON.stringify(text)} is not a whole number`)
  return value
}

/** A size, or 0x and hexadecimal digits. */
export function offsetArgument(text: string): number {
  return /^0x/i.test(text) ? wholeArgument(text) : sizeArgument(text)
}

export function jsonObjectArgument(text: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // Told below, as any other text that is no object.
  }
  throw new UsageError(`${JSON.stringify(text)} is not a JSON object`)
}

/** A secret never stands on a command line, where every process could read it. */
export function readSecret(path: string | undefined): { secret?: string } {
  if (path === undefined) return {}
  try {
    return { secret: readFileSync(path === '-' ? 0 : path, 'utf8').replace(/\r?\n$/, '') }
  } catch (error) {
    throw new UsageError(`--secret-file: ${(error as Error).message}`)
  }
}
