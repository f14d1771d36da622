export { printable } from '../../protocol/printable'

import { formatDuration, formatSize } from '../../protocol/units'

export const size = formatSize
export const duration = formatDuration

/** An offset or an address. */
export function hex(value: number | null | undefined): string {
  return typeof value === 'number' ? `0x${Math.round(value).toString(16)}` : '-'
}

export function count(value: number | null | undefined): string {
  return typeof value === 'number' ? grouped(value) : '-'
}

/** 100000 is '100 000', with thin spaces. */
export function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, '\u2009')
}

/** The time of the day, in the viewer's zone. */
export function clock(ms: number, fraction = false): string {
  const date = new Date(ms)
  const two = (value: number) => String(value).padStart(2, '0')
  const seconds = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return fraction ? `${seconds}.${String(date.getMilliseconds()).padStart(3, '0')}` : seconds
}

export function dateAndClock(ms: number): string {
  const date = new Date(ms)
  const two = (value: number) => String(value).padStart(2, '0')
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(ms)}`
}

export function percent(part: number, of: number): string {
  if (of === 0) return '-'
  const value = (part / of) * 100
  return `${value > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} %`
}

/** '12 µs', '3.4 ms'. */
export function latency(microseconds: number | null): string {
  if (microseconds === null) return '-'
  if (microseconds < 1000) return `${Math.round(microseconds)} µs`
  return microseconds < 1e6
    ? `${(microseconds / 1000).toFixed(1)} ms`
    : `${(microseconds / 1e6).toFixed(1)} s`
}

const rowBytes = 16

/** A hex dump: offset, bytes, and the characters that can be shown. */
export function hexRows(data: Uint8Array, offset: number): string[] {
  const digits = Math.max(8, (offset + data.length).toString(16).length)
  const rows: string[] = []
  for (let at = 0; at < data.length; at += rowBytes) {
    const bytes = [...data.subarray(at, at + rowBytes)]
    const hex = bytes.map(byte => byte.toString(16).padStart(2, '0'))
    const halves = [hex.slice(0, 8).join(' '), hex.slice(8).join(' ')].join('  ').padEnd(3 * rowBytes)
    const text = bytes.map(byte => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    rows.push(`${(offset + at).toString(16).padStart(digits, '0')}  ${halves}  ${text}`)
  }
  return rows
}
