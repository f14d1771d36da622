import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { findRegions } from '../../../src/broker/source/devdax/region'
import { GiB, MiB } from '../../../src/client'
import { measureBandwidth } from '../../bench/bandwidth'
import { percentile } from '../../bench/figures'
import { measureRestart } from '../../bench/restart'
import { brokerSocket, type Host } from '../inside/host'
import { scrubbed } from '../inside/reserved-broker'
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
const parts = ['total', 'process', 'source', 'table', 'memory', 'replies'] as const
const prefix = 'speed/'
const instances = { rounds: 7, perRound: 16 }
const bandwidth = { bytes: 64 * MiB, rounds: 21 }
const claimer = path.join(__dirname, '../../bench/claimer.js')

async function prepare(host: Host): Promise<void> {
  await host.format(config, 'main')
  await host.broker(config, { logLevel: 'info' })
  await scrubbed(host)
  await fill(host, 0, counts[0])
}

/** By a process that ends, as those of the kernel before have. */
async function fill(host: Host, from: number, to: number): Promise<void> {
  await host.exec('node', [
    ...[claimer, brokerSocket, 'fill', `${prefix}${from}-`],
    ...[String(to - from), String(unit)],
  ])
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

async function claimFew(host: Host): Promise<void> {
  await claimAll(host, counts[0])
  await fill(host, counts[0], counts[1])
}

async function claimMany(host: Host): Promise<void> {
  await claimAll(host, counts[1])
  const [few, many] = counts.map(count => host.recall<number>(`claimed${count}`)) as [number, number]
  host.measure('msPerClaimMore', round((many - few) / (counts[1] - counts[0])))
}

/** Allocations of the least size, one after the other and at once, beside a C program's writes to sysfs. */
async function makeInstances(host: Host): Promise<void> {
  const client = await host.connect()
  const region = findRegions().find(found => found.start === range.base)!.directory
  const { rounds, perRound } = instances
  const times: Record<'c' | 'single' | 'atOnce', number[]> = { c: [], single: [], atOnce: [] }
  const start = range.base + range.bytes - perRound * unit
  for (let done = 0; done < rounds; done++) {
    const args = [region, start.toString(16), String(unit), String(perRound)]
    times.c.push(Number(await host.exec('dax_instances', args)) / 1e6 / perRound)
    const allocate = (index: number) => client.allocate({ name: `instance/${index}`, size: unit })
    const indexes = Array.from({ length: perRound }, (_, index) => index)
    for (const way of ['single', 'atOnce'] as const) {
      const made = []
      const from = performance.now()
      if (way === 'atOnce') made.push(...(await Promise.all(indexes.map(allocate))))
      else for (const index of indexes) made.push(await allocate(index))
      times[way].push((performance.now() - from) / perRound)
      for (const allocation of made) await allocation.release()
    }
  }
  for (const [way, list] of Object.entries(times))
    host.measure(`instance.${way}Ms`, round(percentile(list, 50)))
  await client.close()
}

async function useMemory(host: Host): Promise<void> {
  const measured = await measureBandwidth(brokerSocket, 'bandwidth', bandwidth.bytes, bandwidth.rounds)
  for (const [way, { window, mmap, ratio }] of Object.entries(measured)) {
    host.measure(`${way}.windowMBps`, round(window / 1e6))
    host.measure(`${way}.mmapMBps`, round(mmap / 1e6))
    host.measure(`${way}.ratio`, Math.round(ratio * 1000) / 1000)
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10
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
    stage('claim 100, and make 1,000', claimFew),
    kexec(),
    stage('claim 1,000', claimMany),
    stage('make instances beside a C program', makeInstances),
    stage('use the memory beside a C program', useMemory),
  ],
}
export default scenario
