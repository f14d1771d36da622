import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { native } from '../../../native'
import { makeInstance, removeInstance } from '../../../src/broker/source/devdax/instance'
import { findRegions } from '../../../src/broker/source/devdax/region'
import { type Allocation, GiB, MiB } from '../../../src/client'
import { measureBandwidth } from '../../bench/bandwidth'
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
const instances = { rounds: 10, perRound: 8 }
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
 * them with (device: created, mapped, read back, bound; instance: with its node as well), and as whole allocations, one
 * after the other and at once. The best round of each counts: a round can only be made slower by others.
 */
async function makeInstances(host: Host): Promise<void> {
  const client = await host.connect()
  const { directory } = findRegions().find(found => found.start === range.base)!
  const { rounds, perRound } = instances
  const start = range.base + range.bytes - perRound * unit
  const indexes = Array.from({ length: perRound }, (_, index) => index)
  const extentsOf = (index: number) => [{ start: start + index * unit, end: start + (index + 1) * unit }]
  const device = (index: number) => {
    const made = native.makeDaxDevice(directory, driver, '/dev', extentsOf(index), unit)
    host.same(made.errno, 0, made.doing)
    return made
  }
  const instance = (index: number) =>
    makeInstance({ directory, extents: extentsOf(index), alignBytes: unit, uid: 0 })
  const remove = (name: string) => removeInstance(directory, name, 'unused')
  const allocate = (index: number) => client.allocate({ name: `instance/${index}`, size: unit })
  const release = (made: Allocation[]) => inTurn(made, allocation => allocation.release())

  const ways: Record<string, () => Promise<number>> = {
    c: async () => {
      const args = [directory, start.toString(16), String(unit), String(perRound)]
      return Number(await host.exec('dax_instances', args)) / 1e6
    },
    device: () => timed(indexes, device, made => inTurn(made, ({ name }) => remove(name))),
    instance: () => timed(indexes, instance, made => inTurn(made, ({ name }) => remove(name))),
    allocate: () => timed(indexes, allocate, release),
    atOnce: () =>
      timed(
        [0],
        () => Promise.all(indexes.map(allocate)),
        ([made]) => release(made!),
      ),
  }
  const best = new Map<string, number>()
  for (let done = 1; done <= rounds; done++) {
    for (const [way, measure] of Object.entries(ways))
      best.set(way, Math.min(best.get(way) ?? Number.POSITIVE_INFINITY, (await measure()) / perRound))
    host.say(`${done} of ${rounds} rounds of ${perRound} instances`)
  }
  for (const [way, ms] of best) {
    host.measure(`${way}Ms`, round(ms, 2))
    if (way !== 'c') host.measure(`${way}.ratio`, round(ms / best.get('c')!, 2))
  }
  await client.close()
}

/** Milliseconds that all of it took, one after the other; what came of it is then undone. */
async function timed<From, Made>(
  list: readonly From[],
  make: (from: From) => Made | Promise<Made>,
  undo: (made: Made[]) => Promise<void>,
): Promise<number> {
  const made: Made[] = []
  const from = performance.now()
  for (const each of list) made.push(await make(each))
  const took = performance.now() - from
  await undo(made)
  return took
}

async function inTurn<T>(list: readonly T[], use: (each: T) => unknown): Promise<void> {
  for (const each of list) await use(each)
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
