import { spawn, spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { Mistake } from '../../../protocol/source/key'

/** By name: the uid on this host, or why there is none. */
export type Uids = ReadonlyMap<string, number | Mistake>

/** The time for all users of a file together: a directory service may never answer. */
const lookupMs = 5000
const atOnceMax = 8
/** A process that gets SIGKILL is gone within moments, or is stuck in the kernel. */
const endMs = 500

/** For a broker that serves nobody yet: it waits. */
export function lookUpAtStart(names: Iterable<string>): Uids {
  const until = performance.now() + lookupMs
  const lookUp = (name: string) =>
    spawnSync('id', ['-u', '--', name], {
      encoding: 'latin1',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: Math.max(1, Math.ceil(until - performance.now())),
      killSignal: 'SIGKILL',
    })
  return new Map(
    [...names].map(name => {
      try {
        return [name, uidFrom(name, lookUp(name))]
      } catch (error) {
        return [name, uidFrom(name, { error: error as Error })]
      }
    }),
  )
}

/** For a broker that serves clients: child processes ask, some at once, and it does not wait for them to end. */
export class UserLookup {
  /** Killed children that have not ended: they count as children at work. */
  private stuck = 0

  /** One call at a time. */
  async lookUp(names: Iterable<string>): Promise<Uids> {
    const until = performance.now() + lookupMs
    const left = [...names]
    const found = new Map<string, number | Mistake>()
    const work = async () => {
      for (let name = left.shift(); name !== undefined; name = left.shift())
        found.set(name, await this.uidOf(name, until - performance.now()))
    }
    await Promise.all(Array.from({ length: atOnceMax - this.stuck }, work))
    for (const name of left) found.set(name, late(name))
    return found
  }

  private async uidOf(name: string, withinMs: number): Promise<number | Mistake> {
    if (withinMs <= 0) return late(name)
    try {
      return await this.ask(name, withinMs)
    } catch (error) {
      return uidFrom(name, { error: error as Error })
    }
  }

  private async ask(name: string, withinMs: number): Promise<number | Mistake> {
    const child = spawn('id', ['-u', '--', name], { stdio: ['ignore', 'pipe', 'ignore'] })
    let stdout = ''
    const exited = new Promise<void>(resolve => child.once('exit', () => resolve()))
    const ended = new Promise<Ended>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', status => resolve({ status, stdout }))
    })
    // Without descriptors for it there is no pipe, and the error follows.
    child.stdout?.setEncoding('latin1').on('data', text => {
      stdout += text
    })
    const timer = new AbortController()
    const outOfTime = sleep(withinMs, undefined, { signal: timer.signal }).catch(() => undefined)
    try {
      const outcome = await Promise.race([ended, outOfTime])
      if (outcome) return uidFrom(name, outcome)
    } finally {
      timer.abort()
    }
    this.stuck++
    void exited.then(() => this.stuck--)
    child.kill('SIGKILL')
    child.stdout.destroy()
    await Promise.race([exited, sleep(endMs, undefined, { ref: false })])
    return late(name)
  }
}

/** How the program `id` ended. */
interface Ended {
  status?: number | null
  stdout?: string
  error?: Error
}

function uidFrom(name: string, { status, stdout = '', error }: Ended): number | Mistake {
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT') return late(name)
  if (!error && status === 0 && /^\d+\n$/.test(stdout)) return Number(stdout)
  if (!error && status === 1) return new Mistake(`no user is called '${name}' on this host`)
  const why = error?.message ?? `id ended ${status === null ? 'by a signal' : `with status ${status}`}`
  return new Mistake(`the user '${name}' can't be looked up: ${why}`)
}

function late(name: string): Mistake {
  return new Mistake(`the host's user database does not answer for '${name}'; give its number`)
}
