import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Host } from './host'

interface Memfds {
  /** Of the sessions. */
  readonly name: string
  readonly count: number
  /** They share as many sessions. Default: each has its own. */
  readonly sessions?: number
}

const toMs = (nanoseconds: string) => Number(nanoseconds) / 1e6

const words = ({ name, count, sessions = count }: Memfds, bytes?: number) =>
  [name, ...(bytes === undefined ? [] : [bytes]), count, sessions].map(String)

/** A C program with memfds of its own, which does no more than the kernel asks for: live_memfds.c. */
export class PlainMemfds {
  private constructor(
    private readonly child: ChildProcess,
    private readonly answers: AsyncIterator<string>,
  ) {}

  /** bytes: of each. */
  static async fill(memfds: Memfds, bytes: number): Promise<PlainMemfds> {
    const child = spawn('live_memfds', ['preserve', ...words(memfds, bytes)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const plain = new PlainMemfds(child, createInterface({ input: child.stdout! })[Symbol.asyncIterator]())
    await plain.line()
    return plain
  }

  /** round: it preserves them and undoes that; hold: until its kernel ends. Returns how long the preserving took. */
  async preserve(word: 'round' | 'hold'): Promise<number> {
    this.child.stdin!.write(`${word}\n`)
    return toMs(await this.line())
  }

  async end(): Promise<void> {
    const exit = once(this.child, 'exit')
    this.child.stdin!.end()
    await exit
  }

  private async line(): Promise<string> {
    const { value, done } = await this.answers.next()
    if (done) throw new Error('live_memfds ended')
    return value
  }
}

/** Takes them out of the kernel before, and preserves them again until the program has ended. */
export async function retrievePlain(
  host: Host,
  memfds: Memfds,
): Promise<{ retrieveMs: number; preserveMs: number }> {
  const printed = await host.exec('live_memfds', ['retrieve', ...words(memfds)])
  const [retrieveMs, preserveMs] = printed.trim().split('\n').map(toMs) as [number, number]
  return { retrieveMs, preserveMs }
}
