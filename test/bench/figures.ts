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

export function print(figures: readonly Figure[], json: boolean): void {
  if (json) {
    const rows = figures.map(figure => ({ ...figure, ratio: figure.nanoseconds / figure.floor }))
    console.log(JSON.stringify({ node: process.version, arch: process.arch, figures: rows }, null, 2))
    return
  }
  const rows = figures.map(({ name, nanoseconds, floor }) => [
    name,
    duration(nanoseconds),
    duration(floor),
    `${(nanoseconds / floor).toFixed(1)}x`,
    `${Math.round(1e9 / nanoseconds)}/s`,
  ])
  const table = [['', 'membroker', 'floor (C)', 'ratio', 'rate'], ...rows]
  const widths = table[0]!.map((_, column) => Math.max(...table.map(row => row[column]!.length)))
  for (const row of table)
    console.log(
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
    )
}

function duration(nanoseconds: number): string {
  if (nanoseconds < 10_000) return `${nanoseconds.toFixed(0)} ns`
  if (nanoseconds < 10_000_000) return `${(nanoseconds / 1e3).toFixed(1)} us`
  return `${(nanoseconds / 1e6).toFixed(1)} ms`
}
