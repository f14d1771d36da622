import { readFileSync } from 'node:fs'
import { roundUp } from '../../../protocol/units'
import { boundedText } from '../bounded-text'
import { NotInTime } from './errors'
import { encodeRequest, list, u32 } from './request'
import type { WorkerPool } from './worker-pool'

/** The visible length of a command line. */
const bytesMax = 256
const deadlineMs = 500
const stuckMs = 100
const headBytes = 8

/**
 * Reads the command lines of processes, for people, within a bounded time. A worker reads them, because a process can keep its
 * reader waiting. For such a process the result is its name, or '' without one.
 */
export async function commandsOf(pool: WorkerPool, pids: readonly number[]): Promise<Map<number, string>> {
  const found = new Map<number, string>()
  const until = performance.now() + deadlineMs
  for (let rest = pids; rest.length > 0; rest = rest.filter(pid => !found.has(pid))) {
    const at = await read(pool, rest, until - performance.now(), found)
    if (at === undefined) break
    if (!found.has(at)) found.set(at, nameOf(at))
  }
  for (const pid of pids) if (!found.has(pid)) found.set(pid, nameOf(pid))
  return found
}

/** Returns the process at which the worker stopped. */
async function read(
  pool: WorkerPool,
  pids: readonly number[],
  deadlineMs: number,
  into: Map<number, string>,
): Promise<number | undefined> {
  const request = encodeRequest('commands', list(pids.map(pid => [u32(pid)])))
  try {
    const outcome = await pool.run('commands', { request, deadlineMs, stuckMs })
    const { found } = outcome
    for (let at = 0; at < found.length; ) {
      const length = found.readUInt32LE(at + 4)
      const text = found.toString('utf8', at + headBytes, at + headBytes + length)
      into.set(found.readUInt32LE(at), boundedText(text.split('\0').join(' ').trim(), bytesMax))
      at += headBytes + roundUp(length, 4)
    }
    if (outcome.kind === 'late') return outcome.pid || undefined
    // The area is full: it has some of the lines, and the next round goes on.
    return outcome.status > 0 ? [...into.keys()].at(-1) : undefined
  } catch (error) {
    if (error instanceof NotInTime || typeof (error as NodeJS.ErrnoException).syscall === 'string')
      return undefined
    throw error
  }
}

/** The kernel keeps the name apart from the process' memory, so reading it waits for nobody. */
function nameOf(pid: number): string {
  try {
    return boundedText(readFileSync(`/proc/${pid}/comm`, 'utf8').trim(), bytesMax)
  } catch {
    return ''
  }
}
