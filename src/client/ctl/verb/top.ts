import type { Command } from 'commander'
import { type Broker, BrokerError } from '../../index'
import { exitCode, UsageError } from '../exit'
import { unicodeWanted } from '../terminal/blocks'
import { colorsWanted, isScreen } from '../terminal/color'
import { live } from '../top/live'
import { Model, readBroker } from '../top/model'
import { drawOnce } from '../top/view'
import { addVerb } from '../verb'
import { patientMs, pause, type VerbContext, withBroker } from '../verb-context'

interface Options {
  interval: number
  once?: boolean
}

export function addTop(program: Command): void {
  addVerb(program, {
    usage: 'top',
    summary: 'Live view: ranges, requests, allocations, clients, events, and what needs attention',
    examples: ['top', 'top --interval 5', 'top --once', 'top --json | jq .rates.requestsPerSecond'],
    notes: `On a terminal top redraws itself until q; ? shows its keys. Elsewhere, or with --once, it prints one frame of text,
measured over one interval. --json prints an object per interval: status, ranges, clients, statistics (for
administrators), and rates: the statistics' growth per second since the object before.
Latencies are upper bounds: "99 % <250 µs" means that 99 % of the requests took less than that in the broker.`,
  })
    .option('--interval <seconds>', 'time between two readings', secondsArgument, 1)
    .option('--once', 'print one frame, and end')
    .action(({ interval, once }: Options, command: Command) =>
      withBroker(
        command,
        async context => {
          const intervalMs = interval * 1000
          try {
            if (context.json) await printReadings(context, intervalMs, once === true)
            else if (once || !isScreen(process.stdout)) await printFrame(context, intervalMs)
            else await live(context, intervalMs)
          } catch (error) {
            if (!context.signal.aborted || !(error instanceof BrokerError && error.code === 'Aborted'))
              throw error
            process.exitCode = exitCode.interrupted
          }
        },
        patientMs,
      ),
    )
}

async function printFrame(
  { broker, signal, print, progress }: VerbContext,
  intervalMs: number,
): Promise<void> {
  progress.say('measuring')
  const model = new Model()
  await readTwice(model, broker, intervalMs, signal)
  for await (const info of broker.list({ signal })) model.allocations.refresh(info)
  model.complete = true
  progress.end()
  const columns = process.stdout.columns || Number(process.env.COLUMNS) || 120
  const style = { unicode: unicodeWanted(), colors: colorsWanted() }
  print(undefined, () => drawOnce(model, columns, style, Date.now()).join('\n'))
}

async function printReadings(
  { broker, signal, print }: VerbContext,
  intervalMs: number,
  once: boolean,
): Promise<void> {
  const model = new Model()
  broker.on('reconnected', () => model.back())
  for (;;) {
    if (once) await readTwice(model, broker, intervalMs, signal)
    else model.read(await readBroker(broker, signal))
    print({ ...model.reading, rates: model.rates ?? null }, () => '')
    if (once) return
    await pause(intervalMs, signal)
  }
}

async function readTwice(
  model: Model,
  broker: Broker,
  intervalMs: number,
  signal: AbortSignal,
): Promise<void> {
  model.read(await readBroker(broker, signal))
  if (!model.reading?.statistics) return
  await pause(intervalMs, signal)
  model.read(await readBroker(broker, signal))
}

function secondsArgument(text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (!(seconds >= 0.1 && seconds <= 86_400))
    throw new UsageError(`--interval: ${JSON.stringify(text)} is not a number of seconds from 0.1 to 86400`)
  return seconds
}
