import { closeSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../../../native'
import { startTimeOf } from '../../lease/process'

const SIGCONT = 18
const SIGSTOP = 19
/** A thread in the middle of I/O stops when its I/O ends. */
const stopMs = 2000

/** A list of the stopped processes. If the process that stopped them ends early, somebody else continues them by this list. */
const recordsFolder = '/run'
const recordName = /^membroker-stopped\.\d+$/

/** Lines "PID START": first the process that stops others, then those that it has stopped. */
export function recordOf(pid: number, folder = recordsFolder): string {
  return path.join(folder, `membroker-stopped.${pid}`)
}

/**
 * Stops processes, so that the caller's findings about them stay true until go(). If the caller ends before that,
 * continueStopped() continues them.
 */
export class Stopped {
  private readonly pidfds = new Map<number, number>()
  private readonly already = new Set<number>()

  constructor(private readonly record = recordOf(process.pid)) {}

  get pids(): Iterable<number> {
    return this.pidfds.keys()
  }

  has(pid: number): boolean {
    return this.pidfds.has(pid)
  }

  /** True when it is stopped, or gone. */
  async stop(pid: number): Promise<boolean> {
    try {
      this.pidfds.set(pid, native.pidfdOpen(pid))
      if (isStill(pid)) this.already.add(pid)
      else {
        this.note(pid)
        native.pidfdSendSignal(this.pidfds.get(pid)!, SIGSTOP)
      }
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ESRCH'
    }
    for (const until = performance.now() + stopMs; !isStill(pid); await sleep(1))
      if (performance.now() > until) return false
    return true
  }

  private note(pid: number): void {
    const own = existsSync(this.record) ? '' : `${process.pid} ${startTimeOf(process.pid)}\n`
    writeFileSync(this.record, `${own}${pid} ${startTimeOf(pid)}\n`, { flag: 'a', mode: 0o600 })
  }

  go(): void {
    for (const [pid, pidfd] of this.pidfds) {
      try {
        if (!this.already.has(pid)) native.pidfdSendSignal(pidfd, SIGCONT)
      } catch {
        // Somebody killed it meanwhile.
      }
      closeSync(pidfd)
    }
    this.pidfds.clear()
    rmSync(this.record, { force: true })
  }
}

/** Continues the processes that another process left stopped; returns their pids. */
export function continueStopped(record: string): number[] {
  const pids = readRecord(record).flatMap(({ pid, start }, index) =>
    index > 0 && continueProcess(pid, start) ? [pid] : [],
  )
  rmSync(record, { force: true })
  return pids
}

/** Continues the stopped processes of helpers that are gone; returns their pids. */
export function continueAbandoned(folder = recordsFolder): number[] {
  return readdirSync(folder)
    .filter(name => recordName.test(name))
    .map(name => path.join(folder, name))
    .filter(record => {
      const [stopper] = readRecord(record)
      return stopper === undefined || startTimeOf(stopper.pid) !== stopper.start
    })
    .flatMap(continueStopped)
}

/** The complete lines. */
function readRecord(record: string): { pid: number; start: number }[] {
  try {
    return [...readFileSync(record, 'latin1').matchAll(/^(\d+) (\d+)\n/gm)].map(([, pid, start]) => ({
      pid: Number(pid),
      start: Number(start),
    }))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Uses a pidfd: if another process has the number by now, it does nothing to that process. */
function continueProcess(pid: number, start: number): boolean {
  let pidfd: number
  try {
    pidfd = native.pidfdOpen(pid)
  } catch {
    return false
  }
  try {
    if (startTimeOf(pid) !== start) return false
    native.pidfdSendSignal(pidfd, SIGCONT)
    return true
  } catch {
    return false
  } finally {
    closeSync(pidfd)
  }
}

/** Every thread is stopped, or the process has ended. */
function isStill(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every(tid => {
      const stat = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'latin1')
      return 'TtZX'.includes(stat[stat.lastIndexOf(')') + 2]!)
    })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return isGone(pid)
    if (code === 'ESRCH') return true
    throw error
  }
}

/** A thread that ended in between looks the same as a process that did. */
function isGone(pid: number): boolean {
  return !readdirSync('/proc').includes(String(pid))
}
