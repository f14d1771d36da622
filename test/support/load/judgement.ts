import type { RunQueue } from './run-queue'
import type { Report, Timed } from './timed'

/** The bound on blocking. */
export const blockedMsMax = 1000
/**
 * A call is passed from process to process and from thread to thread about so often (the client, the event loop, whoever
 * proves and scrubs, and back), and each may have to wait for a processor as long as the control had to.
 */
const hops = 4

export interface Judged extends Timed {
  tookMs: number
  /** How late the control was at that time. */
  noiseMs: number
  /** How long the broker was ready to run at that time, and had no processor. */
  queuedMs: number
  /** What the machine does not explain. */
  blockedMs: number
}

/** The broker was killed, and served again. */
export interface Restart {
  killed: number
  ready: number
}

/** The call that was blocked longest; 0 ms: nobody was. */
export function slowest(reports: readonly Report[], queue: RunQueue, restart?: Restart): Judged {
  const pings = reports.flatMap(report => report.pings)
  const judged = reports.flatMap(report => report.calls).map(call => judge(call, pings, queue, restart))
  return judged.reduce((worst, next) => (next.blockedMs > worst.blockedMs ? next : worst))
}

/** While no broker runs, nobody is blocked by it. */
function judge(call: Timed, pings: readonly Timed[], queue: RunQueue, restart?: Restart): Judged {
  const isOver = restart !== undefined && call.from < restart.ready && call.to > restart.killed
  const from = isOver && call.to > restart.ready ? restart.ready : call.from
  const to = isOver && call.to <= restart.ready ? Math.max(from, restart.killed) : call.to
  const noiseMs = pings
    .filter(ping => ping.to >= from && ping.from <= to)
    .reduce((worst, ping) => Math.max(worst, ping.to - ping.from), 0)
  const queuedMs = queue.waitedMs(from, to)
  const tookMs = to - from
  const blockedMs = Math.max(0, tookMs - hops * noiseMs - queuedMs)
  return { what: call.what, from, to, tookMs, noiseMs, queuedMs, blockedMs }
}
