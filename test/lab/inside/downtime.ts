import type { UpdateOutcome, UpdateReport } from '../../../src/client'
import type { Host } from './host'
import type { ProcessorTime } from './processor-time'

const remembered = 'clockBehindMs'

/** To be called on the kernel that is left. */
export function beginDowntime(host: Host): void {
  host.remember(remembered, host.clockBehindMs())
}

/**
 * Measures an update's phases by its report, with the error of each kernel's clock taken away. The phases follow each other,
 * from the first guest that was paused to the last that ran again; a phase of several VMs lasts until its last VM.
 * @param processor from when the last VM ran again
 */
export async function measureDowntime(host: Host, processor: ProcessorTime): Promise<void> {
  const client = await host.connect()
  const haveSaid = async () =>
    (await client.updateReport()).participants.every(({ runningAt }) => typeof runningAt === 'number')
  await host.until(haveSaid, 'every VM has said that it runs')
  const { report, participants } = await client.updateReport()
  await client.close()
  host.same(report?.outcome, 'replaced', 'outcome of the update')
  const [before, now] = [host.recall<number>(remembered), host.clockBehindMs()]
  const atHost = (name: keyof UpdateReport, behind: number) => timeOf(report!, name) + behind
  const atLast = (name: keyof UpdateOutcome, behind: number) =>
    Math.max(...participants.map(one => timeOf(one, name))) + behind
  const begun = Math.min(...participants.map(one => timeOf(one, 'pausedAt'))) + before
  const ends = {
    save: atLast('savedAt', before),
    freeze: atHost('proceededAt', before),
    stop: atHost('kernelAt', now),
    boot: atHost('brokerAt', now),
    broker: atHost('servingAt', now),
    start: atLast('startedAt', now),
    claim: atLast('claimedAt', now),
    load: atLast('loadedAt', now),
    run: atLast('runningAt', now),
  }
  let from = begun
  const phases = new Map<string, number>()
  for (const [name, to] of Object.entries(ends)) {
    phases.set(name, to - from)
    from = to
  }
  const total = ends.run - begun
  const ours = ['save', 'freeze', 'broker', 'start', 'claim'].reduce(
    (sum, name) => sum + phases.get(name)!,
    0,
  )
  const downtimes = participants.map(
    one => timeOf(one, 'runningAt') + now - (timeOf(one, 'pausedAt') + before),
  )
  const prefix = `${participants.length}Vms`
  for (const [name, ms] of phases) host.measure(`${prefix}.${name}Ms`, Math.round(ms))
  host.measure(`${prefix}.totalMs`, Math.round(total))
  host.measure(`${prefix}.shortestMs`, Math.round(Math.min(...downtimes)))
  host.measure(`${prefix}.oursPercent`, Math.round((1000 * ours) / total) / 10)
  for (const [name, ms] of Object.entries(processor))
    host.measure(`${prefix}.processor.${name}Ms`, Math.round(ms))
  const told = [...phases].map(([name, ms]) => `${name} ${(ms / 1000).toFixed(1)}`).join(', ')
  host.say(`${participants.length} VMs, seconds: ${told}; ${((100 * ours) / total).toFixed(1)} % ours`)
  const programs = Object.entries(processor).map(([name, ms]) => `${name} ${(ms / 1000).toFixed(1)}`)
  host.say(`processor time since the boot, seconds: ${programs.join(', ')}`)
}

function timeOf<T extends object>(of: T, name: keyof T): number {
  const value: unknown = of[name]
  if (typeof value !== 'number') throw new Error(`the report has no ${String(name)}`)
  return value
}
