import { hostPhases, participantPhases } from '../../../protocol/update-phases'
import type { ConsoleHost } from './console-host'
import { gauge, type Sample, type SampledMetric } from './sampled-metric'

const states = ['preparing', 'ready', 'failed', 'late', 'proceeding'] as const
const participantStates = ['idle', 'asked', 'ready', 'failed', 'late', 'left'] as const

/** The participants with the longest downtimes: their names are series of Prometheus. */
const downtimesMax = 64

/** The update in progress, and what the last one took. */
export function updateMetrics({ updates }: ConsoleHost): SampledMetric[] {
  return [
    gauge('membroker_update_state', '1 for the state of the live update of the host in progress.', () =>
      states.map(state => ({ labels: { state }, value: Number(updates.update?.state === state) })),
    ),
    gauge('membroker_update_participants', 'Participants that an update waits for, by state.', () => {
      const counts = new Map<string, number>()
      for (const { state, waitedFor } of updates.list(undefined))
        if (waitedFor) counts.set(state, (counts.get(state) ?? 0) + 1)
      return participantStates.map(state => ({ labels: { state }, value: counts.get(state) ?? 0 }))
    }),
    gauge('membroker_last_update_phase_seconds', 'Time of each phase of the last update of the host.', () => {
      const report = updates.report.view
      return report ? phaseSamples(hostPhases(report)) : []
    }),
    gauge(
      'membroker_last_update_participants',
      'Participants of the last update, by whether they run again: back, or missing.',
      () => {
        const missing = updates.missing().length
        const all = updates.report.view?.listed ?? 0
        return [
          { labels: { outcome: 'back' }, value: all - missing },
          { labels: { outcome: 'missing' }, value: missing },
        ]
      },
    ),
    gauge(
      'membroker_last_update_downtime_seconds',
      'Downtime of a participant in the last update, by its own report; only the longest ones.',
      () => {
        const rows = [...updates.report.list(undefined)].flatMap(one => {
          const { downtime } = participantPhases(one)
          return downtime === undefined ? [] : [{ one, downtime }]
        })
        rows.sort((a, b) => b.downtime - a.downtime)
        const series = new Map<string, Sample>()
        for (const { one, downtime } of rows.slice(0, downtimesMax))
          series.set(`${one.uid} ${one.name}`, {
            labels: { participant: one.name, uid: one.uid },
            value: downtime / 1000,
          })
        return [...series.values()]
      },
    ),
  ]
}

function phaseSamples(phases: Record<string, number | undefined>): Sample[] {
  return Object.entries(phases).flatMap(([phase, ms]) =>
    ms === undefined ? [] : [{ labels: { phase }, value: ms / 1000 }],
  )
}
