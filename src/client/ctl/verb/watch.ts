import type { Command } from 'commander'
import { type Broker, BrokerError, type WatchItem } from '../../index'
import { eventLine } from '../event-line'
import { exitCode } from '../exit'
import { paint, time } from '../table'
import { PatientOutput } from '../terminal/patient-output'
import { addVerb } from '../verb'
import { patientMs, type VerbContext, withBroker } from '../verb-context'

/** The objects of --json, one per line: the library's, and when the broker goes away and comes back. */
type WatchLine =
  | WatchItem
  | { type: 'disconnected'; time: number; reason: string | null }
  | { type: 'reconnected'; time: number; version: string; pid: number }

export function addWatch(program: Command): void {
  addVerb(program, {
    usage: 'watch',
    summary: 'Follow every change until interrupted',
    examples: ['watch', 'watch --json | jq -c \'select(.type == "event").event\''],
    notes: `--json prints one object per line, at once. Its type is one of
  snapshot      allocations, mappings: the whole state; first, and with again: true
                after the broker was away, when watch may have missed changes
  event         event: a change, with its sequence number
  missed        count: watch was too slow for so many changes, and lost them
  disconnected  the broker went away; watch waits for it
  reconnected   it is back, with its version and pid`,
  }).action((_options, command: Command) => withBroker(command, follow, patientMs))
}

async function follow({ broker, signal, json, progress }: VerbContext): Promise<void> {
  const output = new PatientOutput()
  const tell = (line: WatchLine) => {
    progress.clear()
    return output.write(`${json ? JSON.stringify(line) : describe(line)}\n`, signal)
  }
  tellConnection(broker, line => void tell(line))
  try {
    // watch asks only for what its reader reads: the broker counts lost events, and watch prints the count.
    for await (const item of broker.watch({ signal })) await tell(item)
  } catch (error) {
    if (!(error instanceof BrokerError && error.code === 'Aborted')) throw error
    process.exitCode = exitCode.interrupted
  }
}

function tellConnection(broker: Broker, tell: (line: WatchLine) => void): void {
  broker.on('disconnected', error =>
    tell({ type: 'disconnected', time: Date.now(), reason: error?.message ?? null }),
  )
  broker.on('reconnected', ({ version, pid }) =>
    tell({ type: 'reconnected', time: Date.now(), version, pid }),
  )
}

function describe(line: WatchLine): string {
  switch (line.type) {
    case 'event':
      return eventLine(line.event)
    case 'missed':
      return paint(`missed ${line.count} changes: this viewer was too slow`, 'yellow')
    case 'disconnected':
      return paint(`${time(line.time)}  the broker went away; waiting for it`, 'yellow')
    case 'reconnected':
      return paint(
        `${time(line.time)}  the broker is back: version ${line.version}, pid ${line.pid}`,
        'green',
      )
    case 'snapshot': {
      const state = `${line.allocations.length} allocations, ${line.mappings.length} mappings`
      return line.again ? paint(`changes may have gone unseen; now: ${state}`, 'yellow') : paint(state, 'dim')
    }
  }
}
