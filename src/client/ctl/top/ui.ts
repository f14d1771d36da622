import type { Key } from '../terminal/keys'
import type { Order, Sort } from './allocation-index'

export const lists = ['allocations', 'clients', 'methods', 'retired', 'events'] as const
type List = (typeof lists)[number]

/** The person's choices. */
export interface Ui {
  readonly list: List
  readonly order: Order
  /** Lines of the list above its first visible one. */
  readonly scroll: number
  /** A filter that the person is typing. */
  readonly typing: boolean
  readonly help: boolean
}

export const initialUi: Ui = {
  list: 'allocations',
  order: { sort: 'size', reverse: false, filter: '' },
  scroll: 0,
  typing: false,
  help: false,
}

const sorts: Record<Key, Sort> = { s: 'size', c: 'changes', m: 'mappings', n: 'name' }

export const keyHelp: ReadonlyArray<readonly [keys: string, what: string]> = [
  ['q, Ctrl-C', 'quit'],
  ['Tab, Shift-Tab, 1 to 5', 'allocations, clients, methods, retired memory, events'],
  ['arrows, PgUp, PgDn, Home, End', 'scroll'],
  ['s, c, m, n', 'allocations by size, latest change, mappings, name'],
  ['r', 'reverse the order'],
  ['/', 'only allocations whose names contain a text; Enter keeps it, Escape drops it'],
  ['Ctrl-L', 'draw everything anew'],
  ['Ctrl-Z', 'suspend'],
  ['?, h', 'this help; any key leaves it'],
]

/** Returns the state after a key. page: visible lines of the list; count: all its lines. */
export function pressed(ui: Ui, key: Key, page: number, count: number): Ui {
  if (ui.help) return { ...ui, help: false }
  if (ui.typing) return typed(ui, key)
  const scrolled = scroll(ui.scroll, key, page, count)
  if (scrolled !== undefined) return { ...ui, scroll: scrolled }
  const sort = sorts[key]
  if (sort) return { ...ui, list: 'allocations', scroll: 0, order: { ...ui.order, sort, reverse: false } }
  const at = lists.indexOf(ui.list)
  const show = (index: number): Ui => ({
    ...ui,
    list: lists[(index + lists.length) % lists.length]!,
    scroll: 0,
  })
  switch (key) {
    case 'tab':
    case 'right':
      return show(at + 1)
    case 'backTab':
    case 'left':
      return show(at - 1)
    case 'r':
      return { ...ui, order: { ...ui.order, reverse: !ui.order.reverse }, scroll: 0 }
    case '/':
      return { ...ui, list: 'allocations', typing: true, scroll: 0 }
    case 'escape':
      return { ...ui, order: { ...ui.order, filter: '' }, scroll: 0 }
    case '?':
    case 'h':
      return { ...ui, help: true }
    default:
      return /^[1-5]$/.test(key) ? show(Number(key) - 1) : ui
  }
}

function typed(ui: Ui, key: Key): Ui {
  const { filter } = ui.order
  const become = (text: string): Ui => ({ ...ui, scroll: 0, order: { ...ui.order, filter: text } })
  if (key === 'enter') return { ...ui, typing: false }
  if (key === 'escape') return { ...become(''), typing: false }
  if (key === 'backspace') return become([...filter].slice(0, -1).join(''))
  if (key === 'ctrl-u') return become('')
  return [...key].length === 1 ? become(filter + key) : ui
}

function scroll(from: number, key: Key, page: number, count: number): number | undefined {
  const steps: Record<Key, number> = {
    up: -1,
    down: 1,
    pageUp: -page,
    pageDown: page,
    home: -Infinity,
    end: Infinity,
  }
  const step = steps[key]
  if (step === undefined) return undefined
  return Math.max(0, Math.min(count - page, from + step))
}
