import { statfsSync } from 'node:fs'
import type { Range } from '../../protocol/generated/broker'
import { sources } from '../../protocol/source'
import { formatSize, MiB } from '../../protocol/units'
import type { RangeSettings } from './config/settings'

const suggestedMost = 512 * MiB

/** A range: its configuration, and its state. */
interface Started {
  readonly configured: RangeSettings
  readonly view: Range
}

/** For a person who starts a broker by hand: its memory, and commands to try. */
export function banner(version: string, socket: string, ranges: readonly Started[]): string {
  const environment = socket === '/run/membroker/broker.sock' ? [] : [`export MEMBROKER_SOCKET=${socket}`]
  const suggested = suggestedBytes(ranges)
  const lines = [
    ...environment,
    'npx broker-ctl status',
    ...(suggested === 0
      ? []
      : [`npx broker-ctl allocate vm0/ram ${formatSize(suggested).replace(/ (.).*/, '$1')}`]),
    'npx broker-ctl list',
  ]
  return `membroker ${version} is listening on ${socket}
${ranges.map(describe).join('\n')}

In another terminal, try:
${lines.map(line => `  ${line}`).join('\n')}

Ctrl-C stops the broker; the memory and its table stay.`
}

function describe({ configured, view }: Started): string {
  const place = configured.path ?? 'memfds'
  if (view.state === 'online') return `It hands out ${formatSize(view.bytes)} of memory kept in ${place}.`
  return `It hands out nothing of range ${view.name}: ${view.reason}
Correct that and start it again; without a configuration, --size and --directory choose the size and the place.`
}

/** A power of two that fits into the free memory with room to spare; 0: none does. */
function suggestedBytes(ranges: readonly Started[]): number {
  const free = ranges.map(started => freeBytes(started))
  const half = Math.min(suggestedMost, Math.max(0, ...free) / 2)
  return half < MiB ? 0 : 2 ** Math.floor(Math.log2(half))
}

/** Others fill a filesystem too. */
function freeBytes({ configured, view }: Started): number {
  if (view.state !== 'online') return 0
  if (sources[configured.source].files !== 'inFolder') return view.largestFreeBytes
  const { blocks, bavail, bsize } = statfsSync(configured.path!)
  return blocks === 0 ? view.largestFreeBytes : Math.min(view.largestFreeBytes, bavail * bsize)
}
