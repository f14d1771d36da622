import { setTimeout as sleep } from 'node:timers/promises'
import type { Broker, Participation, UpdateNotice } from '../../index'
import { exitCode, Failure } from '../exit'
import type { Patience } from './room'

/** A guest that updates of the host wait for. */
interface Preparable {
  prepare(update: UpdateNotice): Promise<string>
  /** Does nothing where the guest is not prepared. */
  goOn(reason: string): Promise<void>
  /** Called when it is not prepared any more; prepare() is called again. */
  onUnprepared: (reason: string) => void
}

interface PartOptions {
  readonly name: string
  /** A prepared guest goes on after so long without the broker. */
  readonly awayMs: number
  /** Ends the participation. */
  readonly signal: AbortSignal
  readonly log: (text: string) => void
}

const joinMs = 5_000
const answerMs = 5_000
const againMs = 60_000
const pollMs = 250

export interface Part {
  /**
   * Resolves when the broker knows of this VM, or after some seconds where no update is under way: one that is may count the runner before
   * as ready, and would replace the kernel under a guest that goes on. @throws Failure Busy
   */
  joined(patience: Patience): Promise<void>
  /** Resolves when an update under way has this VM's answer, at the latest after some seconds. */
  answered(): Promise<unknown>
}

/** Takes part in updates of the host until the signal aborts. */
export function takePart(broker: Broker, guest: Preparable, options: PartOptions): Part {
  const { name, awayMs, signal, log } = options
  let participation: Participation | undefined
  const late = () => sleep(answerMs, undefined, { ref: false })
  let hasJoined = false
  const first = new Promise<void>(resolve => {
    const keepOn = async () => {
      let said = ''
      while (!signal.aborted) {
        const leaving = new AbortController()
        const until = AbortSignal.any([signal, leaving.signal])
        let away: NodeJS.Timeout | undefined
        participation = broker.participate({
          name,
          prepare: update =>
            guest.prepare({ ...update, signal: AbortSignal.any([update.signal, leaving.signal]) }),
          cancelled: ({ reason }) => guest.goOn(reason),
          reachable: isReachable => {
            clearTimeout(away)
            if (!isReachable) away = setTimeout(() => leaving.abort(), awayMs)
          },
          signal: until,
        })
        const { done, joined, prepareAgain } = participation
        guest.onUnprepared = prepareAgain
        const noted = joined.then(
          () => {
            hasJoined ||= !until.aborted
          },
          () => {},
        )
        resolve(noted)
        const refusal = await done.then(
          () => undefined,
          error => (error as Error).message,
        )
        clearTimeout(away)
        if (signal.aborted) return
        if (refusal !== undefined && refusal !== said)
          log(`updates of the host do not wait for this VM: ${refusal}`)
        said = refusal ?? ''
        // Nobody would tell it that the update is over. A broker that comes back asks it anew.
        await guest.goOn(refusal ?? `the broker has been away for ${awayMs} ms`)
        if (refusal !== undefined) await sleep(againMs, undefined, { signal }).catch(() => {})
      }
    }
    void keepOn()
  })
  return {
    answered: () => Promise.race([participation?.answered(), late()]),
    async joined({ deadline, signal, onWait }) {
      await Promise.race([first, sleep(joinMs, undefined, { signal, ref: false })])
      for (let waits = false; !hasJoined; waits = true) {
        const { update } = await broker.status({ signal })
        if (!update) return
        const reason = `update ${update.id} of the host (${update.reason}) is under way, and this VM can't take part`
        if (performance.now() >= deadline) throw new Failure('Busy', reason, exitCode.refused)
        if (!waits) onWait(reason)
        await sleep(pollMs, undefined, { signal })
      }
    },
  }
}
