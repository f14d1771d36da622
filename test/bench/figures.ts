import type { Restart } from './restart'

/** One measurement beside what the same system calls cost a C program in the same run. */
export interface Figure {
  name: string
  nanoseconds: number
  floor: number
}

export function percentile(times: readonly number[], percent: number): number {
  const sorted = [...times].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))]!
}

export function print(figures: readonly Figure[], restarts: readonly Restart[], json: boolean): void {
  if (json) {
    const rows = figures.map(figure => ({ ...figure, ratio: figure.nanoseconds / figure.floor }))
    console.log(
      JSON.stringify({ node: process.version, arch: process.arch, figures: rows, restarts }, null, 2),
    )
    return
  }
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
  const parts = ['process', 'source', 'table', 'memory', 'replies'] as const
  printTable([
    ['broker start to last claim, ms', 'total', ...parts, 'a claim more'],
    ...restarts.map((restart, index) => [
      `${restart.claims} claims`,
      ...[restart.total, ...parts.map(part => restart[part])].map(milliseconds => milliseconds.toFixed(1)),
      growth(restarts[index - 1], restart),
    ]),
  ])
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
