import { printable } from '../table'
import type { BlockStyle } from '../terminal/blocks'
import type { Size } from '../terminal/screen'
import type { Row } from './allocation-index'
import { Canvas } from './canvas'
import { head } from './head'
import { eventRow, list } from './list'
import type { Model } from './model'
import { initialUi, keyHelp, lists, type Ui } from './ui'

export interface Frame {
  readonly lines: readonly string[]
  /** The lines of the list that fit, and all its lines. */
  readonly page: number
  readonly count: number
  /** The allocations on the screen. */
  readonly rows: readonly Row[]
}

const eventLines = 4
const onceRows = 20

/** Draws the broker's state at one moment for a person. now: milliseconds since the Unix epoch. */
export function draw(model: Model, ui: Ui, { columns, rows }: Size, style: BlockStyle, now: number): Frame {
  const canvas = new Canvas(columns, style, now)
  if (ui.help) return { lines: help(canvas).slice(0, rows), page: 0, count: 0, rows: [] }
  // On a small terminal the list and the warnings count most.
  const foot = rows >= 12 ? [footLine(ui, canvas)] : ui.typing ? [filterLine(ui, canvas)] : []
  const tail = rows >= 24 && ui.list !== 'events' ? latestEvents(model, canvas) : []
  const around = foot.length + tail.length
  const top = head(model, canvas).slice(0, Math.max(0, rows - around - Math.min(4, rows)))
  const room = Math.max(0, rows - around - top.length)
  const { title, lines, total, shown } = list(model, ui, canvas, Math.max(0, room - 1))
  const body = [title, ...lines].slice(0, room)
  const blank = Array.from({ length: room - body.length }, () => '')
  return {
    lines: [...top, ...body, ...blank, ...tail, ...foot],
    page: Math.max(1, room - 1),
    count: total,
    rows: shown,
  }
}

/** Writes text that stays: everything at the top, and the first allocations. */
export function drawOnce(model: Model, columns: number, style: BlockStyle, now: number): string[] {
  const canvas = new Canvas(columns, style, now)
  const { title, lines, total } = list(model, initialUi, canvas, onceRows)
  const more = total > onceRows ? [canvas.paint(`and ${total - onceRows} more`, 'dim')] : []
  return [...head(model, canvas), title.trimEnd(), ...lines, ...more]
}

function latestEvents(model: Model, canvas: Canvas): string[] {
  const events = model.events.slice(-eventLines)
  const blank = Array.from({ length: eventLines - events.length }, () => '')
  return [canvas.title('LATEST EVENTS'), ...events.map(eventRow), ...blank]
}

function footLine(ui: Ui, canvas: Canvas): string {
  if (ui.typing) return filterLine(ui, canvas)
  const { order } = ui
  const tabs = lists.map((name, i) => canvas.paint(`${i + 1} ${name}`, name === ui.list ? 'bold' : 'dim'))
  const by = ui.list === 'allocations' ? [`by ${order.sort}${order.reverse ? ', reversed' : ''}`] : []
  const only = ui.list === 'allocations' && order.filter !== '' ? [`with "${printable(order.filter)}"`] : []
  return canvas.ends([...tabs, ...by, ...only].join('  '), '? help  q quit')
}

function filterLine(ui: Ui, canvas: Canvas): string {
  return `${canvas.paint('/', 'bold')}${printable(ui.order.filter)}${canvas.paint(' ', 'inverse')}`
}

function help(canvas: Canvas): string[] {
  const width = Math.max(...keyHelp.map(([keys]) => keys.length))
  return [
    canvas.title('broker-ctl top'),
    '',
    ...keyHelp.map(([keys, what]) => `  ${canvas.paint(keys.padEnd(width), 'bold')}  ${what}`),
    '',
    '  "99 % <256 µs" says that of the last interval\'s requests 99 % took less than that in the broker.',
  ]
}
