import { updateInWords } from '../../../../protocol/columns'
import type { Range } from '../../index'
import { duration, microseconds, printable, rate, size, time } from '../table'
import { bar } from '../terminal/blocks'
import { cell } from '../terminal/cells'
import type { Color } from '../terminal/color'
import type { Canvas } from './canvas'
import type { Model } from './model'

/** Everything above the list: the broker, what needs attention, traffic, ranges. */
export function head(model: Model, canvas: Canvas): string[] {
  const { reading } = model
  if (!reading) return [canvas.paint('waiting for the broker to answer', 'dim'), ...warnings(model, canvas)]
  const { status } = reading
  const { version, pid, bootId } = status
  const up = duration(canvas.now - status.startedAt)
  const about = `membrokerd ${version}  pid ${pid}  up ${up}  boot ${bootId.slice(0, 8)}`
  const counts =
    `allocations ${status.allocations} (${status.unclaimed} unclaimed)  mappings ${status.mappings}  ` +
    `clients ${status.clients} of ${status.clientsMax}`
  return [
    canvas.ends(canvas.paint(about, 'bold'), `${time(canvas.now).slice(0, 19)}Z`),
    ...warnings(model, canvas),
    counts,
    ...traffic(model, canvas),
    ...reading.ranges.map(range => rangeLine(range, canvas)),
    '',
  ]
}

function warnings(model: Model, canvas: Canvas): string[] {
  const lines: Array<[Color, string]> = []
  const { awaySince, reading, missed } = model
  if (awaySince !== undefined)
    lines.push(['red', `BROKER AWAY for ${duration(canvas.now - awaySince)}: the rest is old; reconnecting`])
  if (reading?.status.frozen !== null && reading?.status.frozen !== undefined)
    lines.push(['yellow', `FROZEN: ${reading.status.frozen}`])
  if (reading?.status.update) lines.push(['yellow', `UPDATE: ${updateInWords(reading.status.update)}`])
  for (const range of reading?.ranges ?? []) {
    if (range.state === 'readOnly') lines.push(['red', `READ-ONLY ${range.name}: ${range.reason ?? ''}`])
    if (range.quarantinedBytes > 0)
      lines.push([
        'yellow',
        `QUARANTINE ${range.name}: ${size(range.quarantinedBytes)} wait for proof that their holders are gone`,
      ])
    if (range.poisonedBytes > 0) lines.push(['red', `BAD MEMORY ${range.name}: ${size(range.poisonedBytes)}`])
  }
  if (missed > 0) lines.push(['yellow', `${missed} events missed: this viewer was too slow`])
  return lines.map(([color, text]) => canvas.paint(printable(text), color))
}

function traffic(model: Model, canvas: Canvas): string[] {
  const { rates, reading } = model
  if (!reading?.statistics) return [canvas.paint('no statistics: they are for administrators', 'dim')]
  if (!rates) return model.awaySince === undefined ? [canvas.paint('statistics: measuring', 'dim')] : []
  const extra = [
    rates.scrubbedPerSecond > 0 && `scrubbing ${size(Math.round(rates.scrubbedPerSecond))}/s`,
    rates.digestedPerSecond > 0 && `digesting ${size(Math.round(rates.digestedPerSecond))}/s`,
  ].filter(text => text !== false)
  const { p50, p99 } = rates.latency
  return [
    [
      `${rate(rates.requestsPerSecond)} requests/s`,
      canvas.paint(
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

function rangeLine(range: Range, { columns, style }: Canvas): string {
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
  const cells = Math.max(8, Math.min(40, columns - 60))
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
    style,
  )
  const words = [
    `${size(allocatedBytes)} of ${size(bytes)}`,
    `free ${size(freeBytes)}${freeBytes > largestFreeBytes ? `, largest ${size(largestFreeBytes)}` : ''}`,
    scrubbingBytes > 0 && `scrubbing ${size(scrubbingBytes)}`,
  ].filter(text => text !== false)
  return `${cell(printable(range.name), 12)} [${shown}] ${words.join('  ')}`
}
