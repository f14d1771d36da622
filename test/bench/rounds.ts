import { percentile } from './percentile'

/** One line of the bench: what a number is of, and of each baseline the ratio to it, round by round. */
export interface Row {
  what: string
  unit: 'ns' | 'bytes' | 'fraction'
  /** The median. */
  figure: number
  baselines: { name: string; figure: number; ratio: number; least: number; most: number }[]
}

export type Report = (row: Row) => void

const median = (values: readonly number[]) => percentile(values, 50)

/** Prints each row as it comes, and keeps it. */
export function reporter(json: boolean): { rows: Row[]; report: Report } {
  const rows: Row[] = []
  const report = (row: Row) => {
    rows.push(row)
    if (!json) console.log(lineOf(row))
  }
  return { rows, report }
}

/**
 * Runs the ways in turns, every other time in the other order, and returns the results of each. What disturbs one disturbs all,
 * so ratios are of the same round.
 */
export async function inTurns<Name extends string, Result>(
  rounds: number,
  ways: Record<Name, () => Result | Promise<Result>>,
): Promise<Record<Name, Result[]>> {
  const names = Object.keys(ways) as Name[]
  const results = Object.fromEntries(names.map(name => [name, [] as Result[]])) as Record<Name, Result[]>
  for (let round = 0; round < rounds; round++)
    for (const name of round % 2 === 0 ? names : [...names].reverse()) results[name].push(await ways[name]())
  return results
}

/** ours beside baselines, each with its values by round. */
export function rowOf(
  what: string,
  ours: readonly number[],
  baselines: Record<string, readonly number[]>,
  unit: Row['unit'] = 'ns',
): Row {
  return {
    ...{ what, unit, figure: median(ours) },
    baselines: Object.entries(baselines).map(([name, values]) => {
      const ratios = ours.map((value, round) => value / values[round]!)
      const [ratio, least, most] = [median(ratios), Math.min(...ratios), Math.max(...ratios)]
      return { name, figure: median(values), ratio, least, most }
    }),
  }
}

function lineOf({ what, unit, figure, baselines }: Row): string {
  const others = baselines.map(
    ({ name, figure, ratio, least, most }) =>
      `${ratio.toFixed(2)}x (${least.toFixed(2)} to ${most.toFixed(2)}) of ${name}, ${quantity(figure, unit)}`,
  )
  return [`${what}: ${quantity(figure, unit)}`, ...others].join('; ')
}

function quantity(value: number, unit: Row['unit']): string {
  if (unit === 'fraction') return value.toFixed(4)
  if (unit === 'bytes') return `${Math.round(value)} bytes`
  if (value < 1e6) return `${(value / 1e3).toFixed(1)} µs`
  return `${(value / 1e6).toFixed(1)} ms`
}
