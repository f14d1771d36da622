import { type Color, paint } from './color'

/** The present state of an extent of a range; unknown: free or another user's, hidden from this user. */
export type BlockState = 'allocated' | 'free' | 'scrubbing' | 'quarantined' | 'poisoned' | 'table' | 'unknown'

interface Look {
  readonly mark: string
  readonly ascii: string
  readonly color: Color | undefined
}

const looks: Record<BlockState, Look> = {
  poisoned: { mark: '!', ascii: '!', color: 'red' },
  quarantined: { mark: 'Q', ascii: 'Q', color: 'yellow' },
  scrubbing: { mark: 's', ascii: 's', color: 'cyan' },
  table: { mark: 'T', ascii: 'T', color: 'blue' },
  allocated: { mark: '█', ascii: '#', color: 'green' },
  unknown: { mark: '?', ascii: '?', color: 'dim' },
  free: { mark: '·', ascii: '.', color: 'dim' },
}

/** In order of importance. */
export const blockStates = Object.keys(looks) as BlockState[]

const eighths = '▁▂▃▄▅▆▇█'

export interface BlockStyle {
  readonly unicode: boolean
  readonly colors: boolean
}

/** By the first of these variables that is set, as the C library does. */
export function unicodeWanted(env = process.env): boolean {
  return /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || '')
}

export function block(state: BlockState, style: BlockStyle, count = 1): string {
  const { mark, ascii, color } = looks[state]
  return paint((style.unicode ? mark : ascii).repeat(count), color, style.colors)
}

/** One cell that is partly allocated, and free for the rest. */
export function partBlock(share: number, { unicode, colors }: BlockStyle): string {
  const height = Math.min(7, Math.max(1, Math.ceil(share * 8)))
  return paint(unicode ? eighths[height - 1]! : '+', 'green', colors)
}

const barOrder = ['table', 'allocated', 'scrubbing', 'quarantined', 'poisoned', 'unknown', 'free'] as const

/** So many cells in proportion; whatever there is any of has at least one. */
export function bar(bytes: Partial<Record<BlockState, number>>, cells: number, style: BlockStyle): string {
  const states = barOrder.filter(state => (bytes[state] ?? 0) > 0)
  const total = states.reduce((sum, state) => sum + bytes[state]!, 0)
  const counts = states.map(state => Math.max(1, Math.round((bytes[state]! / total) * cells)))
  const excess = counts.reduce((sum, count) => sum + count, 0) - cells
  const largest = counts.indexOf(Math.max(...counts))
  if (counts.length > 0) counts[largest] = Math.max(1, counts[largest]! - excess)
  return states.map((state, i) => block(state, style, counts[i])).join('')
}
