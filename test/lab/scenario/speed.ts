import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { native } from '../../../native'
import { makeInstance, removeInstance } from '../../../src/broker/source/devdax/instance'
import { findRegions } from '../../../src/broker/source/devdax/region'
import { GiB, MiB } from '../../../src/client'
import { measureBandwidth } from '../../bench/bandwidth'
import { percentile } from '../../bench/percentile'
import { measureRestart } from '../../bench/restart'
import { brokerSocket, type Host } from '../inside/host'
import { scrubbed } from '../inside/reserved-broker'
import { bandwidthLibrary } from '../project'
import { kexec, type Scenario, stage } from '../scenario'

/** A range of its own, above the lab's: 1,000 allocations of the least that a device-DAX instance can have need so much. */
const range = { base: 4 * GiB, bytes: 2304 * MiB }
const unit = 2 * MiB
const config = `
[[range]]
name = "main"
source = "devdax"
base = "0x${range.base.toString(16)}"
bytes = ${range.bytes}
`
const configFile = '/run/speed.toml'
const counts = [100, 1000] as const
const fillStep = 100
const parts = ['total', 'process', 'source', 'table', 'memory', 'replies'] as const
const prefix = 'speed/'
const instances = { rounds: 9, perRound: 16, restMs: 300 }
const bandwidth = { bytes: 64 * MiB, rounds: 31 }
const driver = '/sys/bus/dax/drivers/device_dax'
const claimer = path.join(__dirname, '../../bench/claimer.js')

async function prepare(host: Host): Promise<void> {
  await host.format(config, 'main')
  await host.broker(config, { logLevel: 'info' })
  await scrubbed(host)
  await fill(host, 0, counts[0])
}

/** By processes that end, as those of the kernel before have. */
async function fill(host: Host, from: number, to: number): Promise<void> {
  for (let done = from; done < to; done += fillStep) {
    const names = `${prefix}${done}-`
    await host.exec('node', [claimer, brokerSocket, 'fill', names, String(fillStep), String(unit)])
    host.say(`${done + fillStep} of ${to} allocations`)
  }
}

/** The first start of a broker after kexec, as the first VMM that waits for it sees it. */
async function claimAll(host: Host, count: number): Promise<void> {
  writeFileSync(configFile, config)
  const args = ['--config', configFile, '--socket', brokerSocket, '--log-level', 'info']
  const { figures, client } = await measureRestart(['membrokerd', ...args], brokerSocket, prefix)
  host.same(figures.claims, count, 'claims')
  for (const part of parts) host.measure(`claimed${count}.${part}Ms`, round(figures[part]))
  host.remember(`claimed${count}`, figures.total)
  await client.close()
}

async function claimMany(host: Host): Promise<void> {
  await claimAll(host, counts[1])
  const [few, many] = counts.map(count => host.recall<number>(`claimed${count}`)) as [number, number]
  host.measure('msPerClaimMore', round((many - few) / (counts[1] - counts[0])))
}

/**
 * Instances of the least size, beside a C program's bare writes to sysfs: made by the call that the broker's helper makes
 * them with (device: created, mapped, read back, bound; instance: with its node as well), and as whole allocations.
 * After a rest the kernel waits for all processors before it adds memory, soon after that it does not: the first of a row
 * is what a VMM's start waits for, the others are as after kexec. Medians. Only the kernel rests, as an emulated processor
 * that has slept is slow for some time.
 */
async function makeInstances(host: Host): Promise<void> {
  const client = await host.connect()
  const { directory } = findRegions().find(found => found.start === range.base)!
  const { rounds, perRound, restMs } = instances
  const start = range.base + range.bytes - perRound * unit
  const extentsOf = (index: number) => [{ start: start + index * unit, end: start + (index + 1) * unit }]
  const remove = (made: { name: string }) => removeInstance(directory, made.name, 'unused')
  const device = (index: number) => {
    const made = native.makeDaxDevice(directory, driver, '/dev', extentsOf(index), unit)
    host.same(made.errno, 0, made.doing)
    return made
  }
  const instance = (index: number) =>
    makeInstance({ directory, extents: extentsOf(index), alignBytes: unit, uid: 0 })
  const allocate = (index: number) => client.allocate({ name: `instance/${index}`, size: unit })

  const ways: Record<string, () => Promise<number[]>> = {
    c: async () => {
      const args = [directory, start.toString(16), String(unit), String(perRound), String(restMs)]
      return (await host.exec('dax_instances', args)).trimEnd().split('\n').map(toMs)
    },
    device: () => timed(device, remove),
    instance: () => timed(instance, remove),
    allocate: () => timed(allocate, made => made.release()),
  }
  const spent = Object.keys(ways).map(way => ({ way, first: [] as number[], next: [] as number[] }))
  for (let done = 1; done <= rounds; done++) {
    for (const { way, first, next } of spent) {
      const [one, ...others] = await ways[way]!()
      first.push(one!)
      next.push(...others)
    }
    host.say(`${done} of ${rounds} rounds of ${perRound} instances`)
  }
  for (const place of ['first', 'next'] as const) {
    const [c] = spent.map(each => percentile(each[place], 50))
    for (const each of spent) {
      const ms = percentile(each[place], 50)
      host.measure(`${place}.${each.way}Ms`, round(ms, 2))
      if (each.way !== 'c') host.measure(`${place}.${each.way}.ratio`, round(ms / c!, 2))
    }
  }
  await client.close()
}

const toMs = (nanoseconds: string | bigint) => Number(nanoseconds) / 1e6

/** Milliseconds of each, one after the other; what came of it is then undone. */
async function timed<Made>(
  make: (index: number) => Made | Promise<Made>,
  undo: (made: Made) => unknown,
): Promise<number[]> {
  const made: Made[] = []
  const times: number[] = []
  for (const awake = performance.now() + instances.restMs; performance.now() < awake; );
  for (let index = 0; index < instances.perRound; index++) {
    const from = process.hrtime.bigint()
    made.push(await make(index))
    times.push(toMs(process.hrtime.bigint() - from))
  }
  for (const each of made) await undo(each)
  return times
}

async function useMemory(host: Host): Promise<void> {
  const { bytes, rounds } = bandwidth
  const measured = await measureBandwidth(brokerSocket, bandwidthLibrary, bytes, rounds)
  for (const [way, { window, mmap, ratio }] of Object.entries(measured)) {
    host.measure(`${way}.windowMBps`, round(window / 1e6))
    host.measure(`${way}.mmapMBps`, round(mmap / 1e6))
    host.measure(`${way}.ratio`, round(ratio, 3))
  }
}

function round(value: number, digits = 1): number {
  return Math.round(value * 10 ** digits) / 10 ** digits
}

const scenario: Scenario = {
  title:
    'what it takes to claim 100 and 1,000 allocations after kexec, to make an instance, and to use the memory',
  machine: ['-m', '6G'],
  parameters: [
    `memmap=${range.bytes / MiB}M$0x${range.base.toString(16)}`,
    `memmap=${range.bytes / MiB}M%0x${range.base.toString(16)}-2+0xefffffff`,
  ],
  report: true,
  minutesMax: 40,
  steps: [
    stage('format, and make 100 allocations', prepare),
    kexec(),
    stage('claim 100', host => claimAll(host, counts[0])),
    stage('make instances beside a C program', makeInstances),
    stage('use the memory beside a C program', useMemory),
    stage('make 1,000 allocations', host => fill(host, counts[0], counts[1])),
    kexec(),
    stage('claim 1,000', claimMany),
  ],
}
export default scenario
