import type { Event, Range, Retired } from '../../index'
import { count, printable, size, time, verdictColor } from '../table'
import { type BlockStyle, bar } from '../terminal/blocks'
import { cell, cellsOf, clip } from '../terminal/cells'
import { type Color, paint } from '../terminal/color'
import type { Size } from '../terminal/screen'
import { eventLine } from '../verb/watch'
import type { Row } from './allocation-index'
import { duration, microseconds, rate } from './figures'
import type { Model } from './model'
import type { Latency, MethodRates } from './rates'
import { initialUi, keyHelp, lists, type Ui } from './ui'

export interface Frame {
  readonly lines: readonly string[]
  /** Lines of the list that fit, and that there are. */
  readonly page: number
  readonly count: number
  /** The allocations that are shown. */
  readonly rows: readonly Row[]
}

interface Column<T> {
  readonly title: string
  readonly width: number
  readonly right?: boolean
  readonly text: (row: T) => string
  readonly color?: (row: T) => Color | undefined
}

/** How a person sees the broker at one moment. now: milliseconds since the Unix epoch. */
export function draw(model: Model, ui: Ui, { columns, rows }: Size, style: BlockStyle, now: number): Frame {
  return new View(model, ui, columns, rows, style, now).frame()
}

/** As text that stays: everything at the top, and the first allocations. */
export function drawOnce(model: Model, columns: number, style: BlockStyle, now: number): string[] {
  return new View(model, initialUi, columns, 0, style, now).once()
}

const onceRows = 20

class View {
  constructor(
    private readonly model: Model,
    private readonly ui: Ui,
    private readonly columns: number,
    private readonly rows: number,
    private readonly style: BlockStyle,
    private readonly now: number,
  ) {}

  frame(): Frame {
    const { rows, ui } = this
    if (ui.help) return { lines: this.help().slice(0, rows), page: 0, count: 0, rows: [] }
    // On a small terminal the list and the warnings count most.
    const least = Math.min(4, rows)
    const foot = rows >= 12 ? [this.foot()] : ui.typing ? [this.filterLine()] : []
    const tail = rows >= 24 && ui.list !== 'events' ? this.latest(4) : []
    const head = this.head().slice(0, Math.max(0, rows - least - foot.length - tail.length))
    const room = rows - head.length - foot.length - tail.length
    const { title, lines, total, shown } = this.list(Math.max(0, room - 1))
    const body = [title, ...lines].slice(0, room)
    const blank = Array.from({ length: room - body.length }, () => '')
    const page = Math.max(1, room - 1)
    return { lines: [...head, ...body, ...blank, ...tail, ...foot], page, count: total, rows: shown }
  }

  once(): string[] {
    const { title, lines, total } = this.list(onceRows)
    const more = total > onceRows ? [this.paint(`and ${total - onceRows} more`, 'dim')] : []
    return [...this.head(), title.trimEnd(), ...lines, ...more]
  }

  private paint(text: string, color: Color | undefined): string {
    return paint(text, color, this.style.colors)
  }

  private head(): string[] {
    const { reading } = this.model
    if (!reading) return [this.paint('waiting for the broker to answer', 'dim'), ...this.warnings()]
    const { status } = reading
    const { version, pid, bootId } = status
    const up = duration(this.now - status.startedAt)
    const about = `membrokerd ${version}  pid ${pid}  up ${up}  boot ${bootId.slice(0, 8)}`
    const counts =
      `${status.allocations} allocations (${status.unclaimed} unclaimed)  ${status.mappings} mappings  ` +
      `${status.clients} of ${status.clientsMax} clients`
    return [
      this.ends(this.paint(about, 'bold'), time(this.now).slice(0, 19)),
      ...this.warnings(),
      counts,
      ...this.traffic(),
      ...reading.ranges.map(range => this.range(range)),
      '',
    ]
  }

  private warnings(): string[] {
    const { model } = this
    const lines: Array<[Color, string]> = []
    const { awaySince, reading, missed } = model
    if (awaySince !== undefined)
      lines.push([
        'red',
        `BROKER AWAY for ${duration(this.now - awaySince)}: what follows is from before; reconnecting`,
      ])
    if (reading?.status.frozen !== null && reading?.status.frozen !== undefined)
      lines.push(['yellow', `FROZEN: ${reading.status.frozen}`])
    for (const range of reading?.ranges ?? []) {
      if (range.state === 'readOnly') lines.push(['red', `READ-ONLY ${range.name}: ${range.reason ?? ''}`])
      if (range.quarantinedBytes > 0)
        lines.push([
          'yellow',
          `QUARANTINE ${range.name}: ${size(range.quarantinedBytes)} wait for proof that their holders are gone`,
        ])
      if (range.poisonedBytes > 0)
        lines.push(['red', `BAD MEMORY ${range.name}: ${size(range.poisonedBytes)}`])
    }
    if (missed > 0) lines.push(['yellow', `${missed} events missed: this viewer was too slow`])
    return lines.map(([color, text]) => this.paint(printable(text), color))
  }

  private traffic(): string[] {
    const { rates, reading } = this.model
    if (!reading?.statistics) return [this.paint('no statistics: they are for administrators', 'dim')]
    if (!rates) return [this.paint('statistics: measuring', 'dim')]
    const extra = [
      rates.scrubbedPerSecond > 0 && `scrubbing ${size(Math.round(rates.scrubbedPerSecond))}/s`,
      rates.digestedPerSecond > 0 && `digesting ${size(Math.round(rates.digestedPerSecond))}/s`,
    ].filter(text => text !== false)
    const { p50, p99 } = rates.latency
    return [
      [
        `${rate(rates.requestsPerSecond)} requests/s`,
        this.paint(
          `${rate(rates.errorsPerSecond)} refused/s`,
          rates.errorsPerSecond > 0 ? 'yellow' : undefined,
        ),
        `half of them ${microseconds(p50)}, 99 % ${microseconds(p99)}`,
        `${rate(rates.eventsPerSecond)} events/s`,
        `CPU ${Math.round(rates.cpuShare * 100)} %`,
        `memory ${size(reading.statistics.residentBytes)}`,
        ...extra,
      ].join('  '),
    ]
  }

  private range(range: Range): string {
    const {
      bytes,
      freeBytes,
      largestFreeBytes,
      allocatedBytes,
      scrubbingBytes,
      quarantinedBytes,
      poisonedBytes,
    } = range
    const known = freeBytes + allocatedBytes + scrubbingBytes + quarantinedBytes + poisonedBytes
    const cells = Math.max(8, Math.min(40, this.columns - 60))
    const shown = bar(
      {
        table: Math.max(0, bytes - known),
        allocated: allocatedBytes,
        scrubbing: scrubbingBytes,
        quarantined: quarantinedBytes,
        poisoned: poisonedBytes,
        free: freeBytes,
      },
      cells,
      this.style,
    )
    const words = [
      `${size(allocatedBytes)} of ${size(bytes)}`,
      `free ${size(freeBytes)}${freeBytes > largestFreeBytes ? `, largest ${size(largestFreeBytes)}` : ''}`,
      scrubbingBytes > 0 && `scrubbing ${size(scrubbingBytes)}`,
    ].filter(text => text !== false)
    return `${cell(printable(range.name), 12)} [${shown}] ${words.join('  ')}`
  }

  private list(room: number): { title: string; lines: string[]; total: number; shown: readonly Row[] } {
    const { model, ui, columns } = this
    const { reading } = model
    const plain = <T>(all: readonly T[], cols: readonly Column<T>[]) => {
      const shown = visible(all, ui.scroll, room)
      return { ...this.table(shown, cols), total: all.length, shown: [] }
    }
    switch (ui.list) {
      case 'allocations': {
        const all = model.allocations.view(ui.order)
        const shown = visible(all, ui.scroll, room)
        return { ...this.table(shown, allocationColumns(columns, this.now)), total: all.length, shown }
      }
      case 'clients':
        return plain(
          [...(reading?.clients ?? [])],
          [
            { title: 'PID', width: 8, right: true, text: row => count(row.pid) },
            { title: 'UID', width: 8, right: true, text: row => count(row.uid) },
            { title: 'SINCE', width: 9, right: true, text: row => duration(this.now - row.connectedAt) },
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
          title: this.title('EVENTS, the latest first'),
          lines: shown.map(event => this.event(event)),
          total: all.length,
          shown: [],
        }
      }
    }
  }

  private table<T>(rows: readonly T[], columns: readonly Column<T>[]): { title: string; lines: string[] } {
    const width = ({ width }: Column<T>, before: number) =>
      width === Infinity ? Math.max(0, this.columns - before) : width
    const line = (text: (column: Column<T>) => string, color: (column: Column<T>) => Color | undefined) => {
      let out = ''
      let used = 0
      for (const column of columns) {
        const cells = width(column, used)
        out += `${this.paint(cell(printable(text(column)), cells, column.right ? 'right' : 'left'), color(column))}  `
        used += cells + 2
      }
      return out.trimEnd()
    }
    const title = this.title(
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

  private title(text: string): string {
    return this.paint(cell(text, this.columns), 'inverse')
  }

  private latest(most: number): string[] {
    const events = this.model.events.slice(-most)
    const blank = Array.from({ length: most - events.length }, () => '')
    return [this.title('LATEST EVENTS'), ...events.map(event => this.event(event)), ...blank]
  }

  private event(event: Event): string {
    return eventLine(event, time(event.time).slice(11))
  }

  private foot(): string {
    if (this.ui.typing) return this.filterLine()
    const { list, order } = this.ui
    const tabs = lists
      .map((name, i) => this.paint(`${i + 1} ${name}`, name === list ? 'bold' : 'dim'))
      .join('  ')
    const by = list === 'allocations' ? `  by ${order.sort}${order.reverse ? ', reversed' : ''}` : ''
    const only = list === 'allocations' && order.filter !== '' ? `  with "${printable(order.filter)}"` : ''
    return this.ends(tabs + by + only, '? help  q quit')
  }

  private filterLine(): string {
    return `${this.paint('/', 'bold')}${printable(this.ui.order.filter)}${this.paint(' ', 'inverse')}`
  }

  /** One text at the left edge and one at the right, which gives way first. */
  private ends(left: string, right: string): string {
    const blanks = this.columns - cellsOf(left) - cellsOf(right)
    return blanks < 2 ? clip(left, this.columns) : `${left}${' '.repeat(blanks)}${right}`
  }

  private help(): string[] {
    const width = Math.max(...keyHelp.map(([keys]) => keys.length))
    return [
      this.title('broker-ctl top'),
      '',
      ...keyHelp.map(([keys, what]) => `  ${this.paint(keys.padEnd(width), 'bold')}  ${what}`),
      '',
      '  requests: "99 % <250 µs" says that of the last interval’s requests 99 % took less than that in the broker.',
    ]
  }
}

function visible<T>(all: readonly T[], scroll: number, room: number): readonly T[] {
  const from = Math.max(0, Math.min(scroll, all.length - room))
  return all.slice(from, from + room)
}

/** Names get what the other columns leave. */
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
