import { closeSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../../../native'

const SIGCONT = 18
const SIGSTOP = 19
/** A thread in the middle of I/O stops when that is over. */
const stopMs = 2000

/** Processes held still, so that what is found out about them stays true until go(). */
export class Stopped {
  private readonly pidfds = new Map<number, number>()
  private readonly already = new Set<number>()

  has(pid: number): boolean {
    return this.pidfds.has(pid)
  }

  /** True when it is still, or gone. */
  async stop(pid: number): Promise<boolean> {
    try {
      this.pidfds.set(pid, native.pidfdOpen(pid))
      if (isStill(pid)) this.already.add(pid)
      else native.pidfdSendSignal(this.pidfds.get(pid)!, SIGSTOP)
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
