import { styleText } from 'node:util'
import { formatSize } from '../../../protocol/units'

/** Cells of one column; numbers and sizes stand right. */
export interface Column<T> {
  readonly title: string
  readonly cell: (row: T) => string
  readonly right?: boolean
  readonly color?: (row: T) => Color | undefined
}

export type Color = 'green' | 'yellow' | 'red' | 'dim' | 'bold'

export function coloursWanted(): boolean {
  return process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb'
}

export function paint(text: string, color: Color | undefined): string {
  return color && coloursWanted() ? styleText(color, text) : text
}

/** Aligned columns under their titles, without trailing blanks. */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const cells = rows.map(row => columns.map(column => printable(column.cell(row))))
  const widths = columns.map((column, i) =>
    Math.max(column.title.length, ...cells.map(line => line[i]!.length)),
  )
  const pad = (text: string, i: number) => {
    if (columns[i]!.right) return text.padStart(widths[i]!)
    return i === columns.length - 1 ? text : text.padEnd(widths[i]!)
  }
  const head = paint(columns.map((column, i) => pad(column.title, i)).join('  '), 'bold')
  const body = cells.map((line, r) =>
    line
      .map((text, i) => paint(pad(text, i), columns[i]!.color?.(rows[r]!)))
      .join('  ')
      .trimEnd(),
  )
  return [head, ...body].join('\n')
}

/** Names and values, one pair per line. */
export function fields(pairs: ReadonlyArray<readonly [name: string, value: string | undefined]>): string {
  const shown = pairs.filter(([, value]) => value !== undefined)
  const width = Math.max(...shown.map(([name]) => name.length))
  return shown.map(([name, value]) => `${paint(name.padEnd(width), 'dim')}  ${printable(value!)}`).join('\n')
}

/** Names and metadata are other people's text: control characters would let them write on the operator's terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

export const size = formatSize

export function count(value: number | null | undefined): string {
  return value === undefined || value === null ? '-' : String(value)
}

/** A physical or guest-physical address. */
export function address(value: number | null | undefined): string {
  return value === undefined || value === null ? '-' : `0x${value.toString(16)}`
}

export function time(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', '')
}

export function verdictColor(verdict: string): Color | undefined {
  if (verdict === 'intact') return 'green'
  return verdict === 'unverified' ? undefined : 'red'
}
