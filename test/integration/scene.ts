import { setTimeout as sleep } from 'node:timers/promises'
import { type Judged, type Restart, slowest } from '../support/load/judgement'
import { becomeControl, LoadClient } from '../support/load/load'
import { RunQueue } from '../support/load/run-queue'
import { now, type Report } from '../support/load/timed'
import type { OtherProcess } from '../support/other-process'
import { type Attack, type End, neighbour, type Stage, tenant } from './attacks'

/** A broker, and how to become a client of it. */
export interface Place {
  readonly socket: string
  /** Where the control listens. */
  readonly control: string
  readonly launcher: readonly string[]
  /** /proc/PID/schedstat of the broker that runs now, for this process. */
  schedstat(): string
  as(uid: number): Promise<OtherProcess>
  kill(): Promise<void>
  /** Resolves when the broker serves. */
  start(): Promise<void>
}

/** Of this process: names of one scene are not those of another on the same broker. */
let scenes = 0

export interface Outcome {
  /** Of the two tenants and the administrator. */
  reports: Report[]
  worst: Judged
  startMs: number
  /** The same for a reader. */
  text: string
}

/** Two tenants and an administrator go on while the attack does, and the broker is killed and started in the middle. */
export async function play(place: Place, attack: Attack, phaseMs: number): Promise<Outcome> {
  const { control } = place
  await becomeControl(await place.as(0), control)
  const stage: Stage = {
    socket: place.socket,
    as: uid => place.as(uid),
    launcher: place.launcher,
    loop: (client, round, ...input) => LoadClient.start(client, { control, round, input }),
  }
  const { ranges = ['files', 'sealed'], expected = [], outcomes = [] } = attack
  const scene = ++scenes
  const begin = async (uid: number) =>
    LoadClient.start(await place.as(uid), {
      control,
      round: 'tenant',
      input: [`scene-${scene}/${uid}`, ranges, outcomes],
      expected,
    })
  const clients = [
    await begin(tenant),
    await begin(neighbour),
    await LoadClient.start(await place.as(0), { control, round: 'administrator', input: [], expected }),
  ]
  const queue = new RunQueue(place.schedstat())
  let end: End | undefined
  try {
    end = await attack.begin(stage)
    await sleep(phaseMs)
    const restart: Restart = { killed: now(), ready: 0 }
    await place.kill()
    const started = now()
    await place.start()
    restart.ready = now()
    queue.follow(place.schedstat())
    if (attack.again) {
      await end?.()
      end = await attack.again(stage)
    }
    await sleep(phaseMs)
    const reports = await Promise.all(clients.map(client => client.stop()))
    queue.stop()
    return outcome(attack, reports, queue, restart, restart.ready - started)
  } finally {
    queue.stop()
    await end?.()
  }
}

function outcome(
  { name }: Attack,
  reports: Report[],
  queue: RunQueue,
  restart: Restart,
  startMs: number,
): Outcome {
  const worst = slowest(reports, queue, restart)
  const ms = (value: number) => `${Math.round(value)} ms`
  const rounds = reports.map(report => report.rounds).join('/')
  const residentMiB = Math.max(...reports.map(report => report.residentBytesMax)) / 2 ** 20
  const text =
    `${name}: slowest ${worst.what} ${ms(worst.tookMs)} (control ${ms(worst.noiseMs)}, queued ${ms(worst.queuedMs)}), start ${ms(startMs)}, ` +
    `rounds ${rounds}, ${Math.round(residentMiB)} MiB`
  return { reports, worst, startMs, text }
}
