import type { UpdateOutcome, UpdateReport } from './generated/broker'

/** undefined: one of the two is not known, or there was no such step. A clock that was set in between counts as none. */
function between(from: number | null | undefined, to: number | null | undefined): number | undefined {
  return typeof from === 'number' && typeof to === 'number' ? Math.max(0, to - from) : undefined
}

/** The steps of a host: participants save, freeze; the old kernel stops, the next one boots; the broker starts. */
export function hostPhases({
  begunAt,
  readyAt,
  frozenAt,
  proceededAt,
  kernelAt,
  brokerAt,
  servingAt,
}: UpdateReport) {
  return {
    save: between(begunAt, readyAt),
    freeze: between(readyAt ?? frozenAt, proceededAt),
    stop: between(proceededAt, kernelAt),
    boot: between(kernelAt, brokerAt),
    broker: between(brokerAt, servingAt),
  }
}

/** The steps of a participant. wait: from its save until its program starts again, the kernel's time included. */
export function participantPhases(one: UpdateOutcome) {
  const { pausedAt, savedAt, startedAt, claimedAt, loadedAt, runningAt } = one
  return {
    downtime: between(pausedAt, runningAt),
    save: between(pausedAt, savedAt),
    wait: between(savedAt, startedAt),
    claim: between(startedAt, claimedAt),
    load: between(claimedAt, loadedAt),
    run: between(loadedAt ?? claimedAt ?? startedAt ?? savedAt, runningAt),
  }
}

/** The longest downtime, and the part of it in which neither the old kernel stopped nor the next one booted. */
export function longestDowntime(
  report: UpdateReport,
  participants: readonly UpdateOutcome[],
): { downtime: number; ours: number } | undefined {
  const known = participants.flatMap(one => participantPhases(one).downtime ?? [])
  if (known.length === 0) return undefined
  const downtime = known.reduce((most, ms) => Math.max(most, ms))
  const { stop = 0, boot = 0 } = hostPhases(report)
  return { downtime, ours: Math.max(0, downtime - stop - boot) }
}
