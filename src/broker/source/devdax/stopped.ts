import { closeSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../../../native'
import { startTimeOf } from '../../lease/process'

const SIGCONT = 18
const SIGSTOP = 19
/** A thread in the middle of I/O stops when that is over. */
const stopMs = 2000

/** Who is to be continued if the process that stopped them ends before it could: a line "PID START" each. */
const recordFile = '/run/membroker-stopped'

/**
 * Processes held still, so that what is found out about them stays true until go(). One user at a time, on the host;
 * when that one is gone, continueStopped() is to be called.
 */
export class Stopped {
  private readonly pidfds = new Map<number, number>()
  private readonly already = new Set<number>()

  constructor(private readonly record = recordFile) {}

  get pids(): Iterable<number> {
    return this.pidfds.keys()
  }

  has(pid: number): boolean {
    return this.pidfds.has(pid)
  }

  /** True when it is still, or gone. */
  async stop(pid: number): Promise<boolean> {
    try {
      this.pidfds.set(pid, native.pidfdOpen(pid))
      if (isStill(pid)) this.already.add(pid)
      else {
        writeFileSync(this.record, `${pid} ${startTimeOf(pid)}\n`, { flag: 'a', mode: 0o600 })
        native.pidfdSendSignal(this.pidfds.get(pid)!, SIGSTOP)
      }
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ESRCH'
    }
    for (const until = Date.now() + stopMs; !isStill(pid); await sleep(1))
      if (Date.now() > until) return false
    return true
  }

  go(): void {
    for (const [pid, pidfd] of this.pidfds) {
      try {
        if (!this.already.has(pid)) native.pidfdSendSignal(pidfd, SIGCONT)
      } catch {
        // It was killed meanwhile.
      }
      closeSync(pidfd)
    }
    this.pidfds.clear()
    rmSync(this.record, { force: true })
  }
}

/** Continues those whom a process that was ended left stopped; returns their pids. */
export function continueStopped(record = recordFile): number[] {
  let lines: string[]
  try {
    lines = readFileSync(record, 'latin1').split('\n')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  const pids = lines.flatMap(line => {
    const match = /^(\d+) (\d+)$/.exec(line)
    return match && continueProcess(Number(match[1]), Number(match[2])) ? [Number(match[1])] : []
  })
  rmSync(record, { force: true })
  return pids
}

/** Asked of its pidfd: a number that another process has taken since is left alone. */
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
