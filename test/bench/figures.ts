import type { ConsoleCost } from './console-cost'
import type { Restart } from './restart'
import type { Row } from './rounds'
import type { Starts } from './starts'
import type { Pauses, UpgradeCost } from './upgrade'

/** One measurement beside what the same system calls cost a C program in the same run. */
export interface Figure {
  name: string
  nanoseconds: number
  floor: number
}

/** What was measured; a part that was not asked for is missing. */
export interface Results {
  rows?: readonly Row[]
  figures?: readonly Figure[]
  starts?: Starts
  restarts?: readonly Restart[]
  console?: ConsoleCost
  upgrades?: readonly UpgradeCost[]
  /** Why the figures count for nothing; empty: they count. */
  disturbances: string[]
}

export function print(measured: Results, json: boolean): void {
  const { rows: inRounds, figures, starts, restarts, console: cost, upgrades, disturbances } = measured
  if (json) {
    const rows = figures?.map(figure => ({ ...figure, ratio: figure.nanoseconds / figure.floor }))
    const results = { disturbances, rows: inRounds, figures: rows, starts, restarts, console: cost, upgrades }
    console.log(JSON.stringify({ node: process.version, arch: process.arch, ...results }, null, 2))
    return
  }
  if (figures) printFigures(figures)
  if (starts) printStarts(starts)
  if (restarts) printRestarts(restarts)
  if (cost) printConsoleCost(cost)
  if (upgrades) printUpgrades(upgrades)
  for (const disturbance of disturbances)
    console.log(`DISTURBED, these figures count for nothing: ${disturbance}`)
}

function printFigures(figures: readonly Figure[]): void {
  printTable([
    ['', 'membroker', 'floor (C)', 'ratio', 'rate'],
    ...figures.map(({ name, nanoseconds, floor }) => [
      name,
      duration(nanoseconds),
      duration(floor),
      `${(nanoseconds / floor).toFixed(nanoseconds / floor < 2 ? 2 : 1)}x`,
      `${Math.round(1e9 / nanoseconds)}/s`,
    ]),
  ])
  console.log('')
}

function printStarts({ figures }: Starts): void {
  printTable([
    ['', 'membroker', 'node -e 0', 'ratio', 'processor', 'node -e 0', 'ratio'],
    ...figures.map(({ name, took, node }) => [
      name,
      ...(['wall', 'processor'] as const).flatMap(which => [
        duration(took[which] * 1e6),
        duration(node[which] * 1e6),
        `${(took[which] / node[which]).toFixed(2)}x`,
      ]),
    ]),
  ])
  console.log('')
}

function printRestarts(restarts: readonly Restart[]): void {
  const parts = ['process', 'source', 'table', 'memory', 'replies'] as const
  printTable([
    ['broker start to last claim, ms', 'total', ...parts, 'a claim more'],
    ...restarts.map((restart, index) => [
      `${restart.claims} claims`,
      ...[restart.total, ...parts.map(part => restart[part])].map(milliseconds => milliseconds.toFixed(1)),
      growth(restarts[index - 1], restart),
    ]),
  ])
  console.log('')
}

function printConsoleCost(cost: ConsoleCost): void {
  const { allocations, turns, eventsPerSecond, baseline, figures, viewer } = cost
  printTable([
    ['console and metrics', 'with', 'without', 'ratio'],
    ...figures.map(({ name, ratio, ...times }) => [
      name,
      duration(times.with),
      duration(times.without),
      ratio.toFixed(3),
    ]),
  ])
  const perSecond = (count: number) => (count / viewer.seconds).toFixed(0)
  console.log(
    `with: a viewer that follows ${eventsPerSecond.toFixed(0)} events a second of ${allocations} allocations and asks what the page asks, ${viewer.missed} events missed; /metrics read each 2 s
without: ${baseline}; medians of ${turns} turns
the viewer is a process of its own and takes ${perSecond(viewer.cpuMicroseconds / 1000)} ms of processor time in a second`,
  )
}

function printUpgrades(upgrades: readonly UpgradeCost[]): void {
  const pauses = (times: Pauses | undefined) =>
    times === undefined
      ? ''
      : `${times.median.toFixed(1)} (${times.least.toFixed(1)} to ${times.most.toFixed(1)})`
  printTable([
    ['the guest stands still, ms', 'vm upgrade', 'script', 'cpr-transfer', 'ratio', 'more', 'undisturbed'],
    ...upgrades.map(({ qemu, load, ways: { membroker, script, cpr }, undisturbed }) => {
      const best = Math.min(script!.median, cpr?.median ?? Number.POSITIVE_INFINITY)
      return [
        `QEMU ${qemu}, ${load} guest of 1 GiB`,
        ...[pauses(membroker), pauses(script), pauses(cpr)],
        ...[(membroker!.median / best).toFixed(2), (membroker!.median - best).toFixed(1)],
        pauses(undisturbed),
      ]
    }),
  ])
  console.log(
    `medians (least to most) of ${upgrades[0]?.upgrades} upgrades each; ratio and more: against the better of the two others`,
  )
}

function growth(before: Restart | undefined, after: Restart): string {
  if (!before) return ''
  return duration(((after.total - before.total) / (after.claims - before.claims)) * 1e6)
}

function printTable(rows: readonly string[][]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  for (const row of rows)
    console.log(
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
    )
}

function duration(nanoseconds: number): string {
  if (nanoseconds < 10_000) return `${nanoseconds.toFixed(0)} ns`
  if (nanoseconds < 10_000_000) return `${(nanoseconds / 1e3).toFixed(1)} us`
  return `${(nanoseconds / 1e6).toFixed(1)} ms`
}
