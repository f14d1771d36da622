import type { Event, Retired } from '../../index'
import { eventLine } from '../event-line'
import { count, duration, microseconds, printable, rate, size, time, verdictColor } from '../table'
import { cell } from '../terminal/cells'
import type { Color } from '../terminal/color'
import type { Row } from './allocation-index'
import type { Canvas } from './canvas'
import type { Model } from './model'
import type { Latency, MethodRates } from './rates'
import type { Ui } from './ui'

interface ListPart {
  readonly title: string
  readonly lines: readonly string[]
  /** The number of lines, visible or not. */
  readonly total: number
  /** The visible allocations. */
  readonly shown: readonly Row[]
}

interface Column<T> {
  readonly title: string
  readonly width: number
  readonly right?: boolean
  readonly text: (row: T) => string
  readonly color?: (row: T) => Color | undefined
}

/** Draws the chosen list from its scroll position: so many lines, under its title. */
export function list(model: Model, ui: Ui, canvas: Canvas, room: number): ListPart {
  const { columns, now } = canvas
  const { reading } = model
  const plain = <T>(all: readonly T[], cols: readonly Column<T>[]) => {
    const shown = visible(all, ui.scroll, room)
    return { ...table(canvas, shown, cols), total: all.length, shown: [] }
  }
  switch (ui.list) {
    case 'allocations': {
      const all = model.allocations.view(ui.order)
      const shown = visible(all, ui.scroll, room)
      const part = table(canvas, shown, allocationColumns(columns, now))
      const waiting = model.complete ? [] : [canvas.paint('waiting for the list of all allocations', 'dim')]
      return { ...part, lines: [...part.lines, ...waiting], total: all.length, shown }
    }
    case 'clients':
      return plain(
        [...(reading?.clients ?? [])],
        [
          { title: 'PID', width: 8, right: true, text: row => count(row.pid) },
          { title: 'UID', width: 8, right: true, text: row => count(row.uid) },
          { title: 'SINCE', width: 9, right: true, text: row => duration(now - row.connectedAt) },
          { title: 'CALLS', width: 10, right: true, text: row => count(row.calls) },
          { title: 'ALLOC', width: 6, right: true, text: row => count(row.allocations) },
          { title: 'MAPS', width: 6, right: true, text: row => count(row.mappings) },
          { title: 'WATCH', width: 5, text: row => (row.watching ? 'yes' : '-') },
          { title: 'COMMAND', width: Infinity, text: row => row.command },
        ],
      )
    case 'methods':
      return plain<MethodRates>(model.rates?.methods ?? [], [
        { title: 'METHOD', width: 18, text: row => row.method },
        { title: 'PER S', width: 9, right: true, text: row => rate(row.requestsPerSecond) },
        { title: 'REFUSED/S', width: 9, right: true, text: row => rate(row.errorsPerSecond) },
        ...(['p50', 'p99', 'max'] as const).map(key => ({
          title: { p50: 'HALF', p99: '99 %', max: 'ALL' }[key],
          width: 9,
          right: true,
          text: ({ latency }: { latency: Latency }) => microseconds(latency[key]),
        })),
      ])
    case 'retired':
      return plain<Retired>(reading?.status.retired ?? [], [
        { title: 'RETIRED', width: nameWidth(columns, 62), text: row => row.allocation || '-' },
        { title: 'RANGE', width: 12, text: row => row.range },
        { title: 'SIZE', width: 9, right: true, text: row => size(row.bytes) },
        {
          title: 'STATE',
          width: 11,
          text: row => row.state,
          color: row => (row.state === 'quarantined' ? 'yellow' : undefined),
        },
        { title: 'DONE', width: 5, right: true, text: row => done(row) },
        {
          title: 'REASON',
          width: Infinity,
          text: row => `${row.reason}${row.holders.length > 0 ? ` (${row.holders.join(' ')})` : ''}`,
        },
      ])
    case 'events': {
      const all = [...model.events].reverse()
      const shown = visible(all, ui.scroll, room)
      return {
        title: canvas.title('EVENTS, the latest first'),
        lines: shown.map(event => eventRow(event)),
        total: all.length,
        shown: [],
      }
    }
  }
}

function table<T>(
  canvas: Canvas,
  rows: readonly T[],
  columns: readonly Column<T>[],
): { title: string; lines: string[] } {
  const width = ({ width }: Column<T>, before: number) =>
    width === Infinity ? Math.max(0, canvas.columns - before) : width
  const line = (text: (column: Column<T>) => string, color: (column: Column<T>) => Color | undefined) => {
    let out = ''
    let used = 0
    for (const column of columns) {
      const cells = width(column, used)
      out += `${canvas.paint(cell(printable(text(column)), cells, column.right ? 'right' : 'left'), color(column))}  `
      used += cells + 2
    }
    return out.trimEnd()
  }
  const title = canvas.title(
    line(
      column => column.title,
      () => undefined,
    ),
  )
  return {
    title,
    lines: rows.map(row =>
      line(
        column => column.text(row),
        column => column.color?.(row),
      ),
    ),
  }
}

export function eventRow(event: Event): string {
  return eventLine(event, time(event.time).slice(11))
}

function visible<T>(all: readonly T[], scroll: number, room: number): readonly T[] {
  const from = Math.max(0, Math.min(scroll, all.length - room))
  return all.slice(from, from + room)
}

/** Names get the rest of the columns. */
function nameWidth(columns: number, others: number): number {
  return Math.max(12, columns - others)
}

function allocationColumns(columns: number, now: number): Column<Row>[] {
  const all: Column<Row>[] = [
    { title: 'SIZE', width: 9, right: true, text: row => size(row.bytes) },
    { title: 'RANGE', width: 10, text: row => row.range },
    { title: 'UID', width: 7, right: true, text: row => count(row.uid) },
    { title: 'HOLDER', width: 8, right: true, text: row => count(row.holderPid) },
    { title: 'MAPS', width: 4, right: true, text: row => count(row.mappings) },
    { title: 'CHANGES', width: 7, right: true, text: row => count(row.changes) },
    {
      title: 'LAST',
      width: 7,
      right: true,
      text: row => (row.changedAt === undefined ? '-' : duration(Math.max(0, now - row.changedAt))),
    },
    { title: 'VERDICT', width: 10, text: row => row.verdict, color: row => verdictColor(row.verdict) },
  ]
  const others = all.reduce((sum, { width }) => sum + width + 2, 0)
  return [{ title: 'NAME', width: nameWidth(columns, others), text: row => row.name }, ...all]
}

function done({ state, bytes, scrubbedBytes }: Retired): string {
  return state === 'scrubbing' && bytes > 0 ? `${Math.floor((100 * scrubbedBytes) / bytes)} %` : '-'
}
