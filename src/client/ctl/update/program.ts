import { spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { BrokerError } from '../../index'
import { exitCode, Failure } from '../exit'

const wordsMax = 4096
/** Its words may come a little later than its end, or never, where it left a child behind. */
const wordsMs = 200

/** How a program ended. */
export interface Ended {
  readonly good: boolean
  /** 'kexec -e ended with 1: its last line' */
  readonly sentence: string
}

export interface Program {
  /** Its command. */
  readonly name: string
  readonly ended: Promise<Ended>
  kill(): void
}

/**
 * A program of the host, in a process group of its own: what interrupts us does not interrupt it.
 * @param fds descriptors of this process, which it has as 3, 4, ...
 * @param input it reads this
 */
export function start(command: readonly string[], fds: readonly number[] = [], input?: Uint8Array): Program {
  const name = command.join(' ')
  const stdin = input ? 'pipe' : 'ignore'
  const stdio: ['pipe' | 'ignore', 'pipe', 'pipe', ...number[]] = [stdin, 'pipe', 'pipe', ...fds]
  const child = spawn(command[0]!, command.slice(1), { stdio, detached: true })
  let words = ''
  // A process without descriptors left has no pipes for it.
  const outputs = [child.stdout, child.stderr].filter(stream => stream instanceof Socket)
  for (const stream of outputs)
    stream.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-wordsMax)
    })
  const ended = new Promise<Ended>(resolve => {
    child.once('error', error => resolve({ good: false, sentence: `${name}: ${error.message}` }))
    child.once('exit', async (code, signal) => {
      if (outputs.some(stream => stream.readable))
        await Promise.race([new Promise(done => child.once('close', done)), sleep(wordsMs)])
      const line = words.trim().split('\n').at(-1) ?? ''
      const how = signal === null ? `ended with ${code}` : `was ended by ${signal}`
      resolve({ good: code === 0, sentence: `${name} ${how}${line === '' ? '' : `: ${line}`}` })
    })
  })
  // Its end says why it did not read all.
  child.stdin?.on('error', () => {}).end(input)
  const kill = () => {
    child.kill('SIGKILL')
    // It may hang in the kernel: this process does not live for it.
    for (const one of [child, child.stdin, ...outputs]) if (one && 'unref' in one) (one as Socket).unref()
  }
  return { name, ended, kill }
}

/** @throws as ending() */
export function run(
  command: readonly string[],
  code: string,
  boundMs: number,
  signal?: AbortSignal,
  fds: readonly number[] = [],
): Promise<void> {
  return ending(start(command, fds), code, boundMs, signal)
}

/**
 * Nobody waits for a program that hangs in the kernel, where it can't be ended.
 * @throws Failure with the program's words, or that it takes too long; Aborted
 */
export async function ending(
  { name, ended, kill }: Program,
  code: string,
  boundMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const late = sleep(boundMs, 'late' as const, { ref: false, ...(signal && { signal }) }).catch(
    () => 'aborted' as const,
  )
  const first = await Promise.race([ended, late])
  if (typeof first !== 'string') {
    if (!first.good) throw new Failure(code, first.sentence, exitCode.refused)
    return
  }
  kill()
  if (first === 'aborted') throw new BrokerError('Aborted', 'interrupted')
  throw new Failure(code, `${name} has not ended after ${boundMs / 1000} s`, exitCode.refused)
}
