// biome-ignore-all lint/a11y/useSemanticElements: rows of a table element can't be placed one by one
// biome-ignore-all lint/a11y/useFocusableInteractive: the table has the focus, and names its active row
// biome-ignore-all lint/a11y/useKeyWithClickEvents: the keys are the table's
// biome-ignore-all lint/a11y/noStaticElementInteractions: its role is one of two, and both are named
// biome-ignore-all lint/a11y/useAriaPropsSupportedByRole: the same
import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useMemo, useReducer, useRef } from 'preact/hooks'
import { grouped, printable } from '../format'

/** Pixels; the style sheet says the same. */
const rowHeight = 26
/** Rows drawn beyond the visible ones, so that scrolling shows no gaps. */
const margin = 6

export interface Column<T> {
  key: string
  /** Default: the key. */
  title?: string
  /** Rows are ordered by it: text by code units, which is much faster than by a language; missing values come first. */
  value: (row: T) => string | number | null | undefined
  /** Default: the value. */
  cell?: (row: T) => ComponentChildren
  right?: boolean
  /** A narrow window has no room for it. */
  wide?: boolean
}

/** The column with a row's name, which is other people's text. */
export function nameColumn<T>(title: string, value: (row: T) => string): Column<T> {
  const cell = (row: T) => <bdi title={printable(value(row))}>{printable(value(row))}</bdi>
  return { key: 'name', title, value, cell }
}

export interface SortOrder {
  key: string
  descending: boolean
}

/** Compares two rows by a column, in the given direction. */
export function compareBy<T>(columns: readonly Column<T>[], { key, descending }: SortOrder) {
  const { value } = columns.find(column => column.key === key)!
  const sign = descending ? -1 : 1
  return (a: T, b: T): number => {
    const [left, right] = [value(a) ?? -1, value(b) ?? -1]
    return left < right ? -sign : left > right ? sign : 0
  }
}

interface VirtualTableProps<T> {
  name: string
  columns: readonly Column<T>[]
  rows: readonly T[]
  keyOf: (row: T) => string | number
  order?: SortOrder
  onOrder?: (order: SortOrder) => void
  selected?: string | number | undefined
  onSelect?: (row: T) => void
  empty: string
  /** Stay at the end as rows are added, once it was scrolled there. */
  follow?: boolean
}

/** A table that makes only the rows in view. */
export function VirtualTable<T>(props: VirtualTableProps<T>) {
  const { name, columns, rows, keyOf, order, onOrder, selected, onSelect, empty, follow } = props
  const scroller = useRef<HTMLDivElement>(null)
  const [, render] = useReducer((count: number) => count + 1, 0)
  useEffect(() => {
    const observer = new ResizeObserver(() => render(undefined as never))
    observer.observe(scroller.current!)
    return () => observer.disconnect()
  }, [])
  const atEnd = useRef(true)
  const following = follow === true && atEnd.current
  useLayoutEffect(() => {
    if (following) scroller.current!.scrollTop = rows.length * rowHeight
  })
  const onScroll = ({ currentTarget: element }: { currentTarget: HTMLDivElement }) => {
    atEnd.current = element.scrollTop + element.clientHeight > element.scrollHeight - rowHeight
    render(undefined as never)
  }
  const top = following ? Number.POSITIVE_INFINITY : (scroller.current?.scrollTop ?? 0)
  const height = scroller.current?.clientHeight ?? 400
  const seen = Math.ceil(height / rowHeight)
  const first = Math.max(0, Math.min(Math.floor(top / rowHeight), rows.length - seen + 1) - margin)
  const slice = rows.slice(first, first + seen + 2 * margin)
  const selectedAt = selected === undefined ? -1 : slice.findIndex(row => keyOf(row) === selected)

  const choose = (index: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))]
    if (row === undefined || !onSelect) return
    onSelect(row)
    const at = rows.indexOf(row) * rowHeight
    const element = scroller.current!
    if (at < element.scrollTop) element.scrollTop = at
    else if (at + 2 * rowHeight > element.scrollTop + element.clientHeight)
      element.scrollTop = at + 2 * rowHeight - element.clientHeight
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget || !onSelect) return
    const at = selected === undefined ? -1 : rows.findIndex(row => keyOf(row) === selected)
    const next = {
      ArrowDown: at + 1,
      ArrowUp: Math.max(0, at - 1),
      PageDown: at + seen - 2,
      PageUp: at - seen + 2,
      Home: 0,
      End: rows.length - 1,
    }[event.key]
    if (next === undefined) return
    event.preventDefault()
    choose(next)
  }
  return (
    <div
      class={`table ${name}`}
      role={onSelect ? 'grid' : 'table'}
      aria-label={name}
      aria-rowcount={rows.length + 1}
      aria-activedescendant={selectedAt >= 0 ? `${name}-selected` : undefined}
      tabIndex={0}
      ref={scroller}
      onScroll={onScroll}
      onKeyDown={onKeyDown}
    >
      <div class="head row" role="row" aria-rowindex={1}>
        {columns.map(column => (
          <Heading key={column.key} column={column} order={order} onOrder={onOrder} />
        ))}
      </div>
      {rows.length === 0 && <p class="empty">{empty}</p>}
      <div class="rows" role="rowgroup" style={{ height: `${rows.length * rowHeight}px` }}>
        {slice.map((row, i) => (
          <Row
            key={keyOf(row)}
            table={name}
            columns={columns}
            row={row}
            index={first + i}
            isSelected={i === selectedAt}
            onSelect={onSelect}
          />
        ))}
      </div>
    </div>
  )
}

const classOf = <T,>({ right, wide }: Column<T>) => `${right ? 'right' : ''} ${wide ? 'wide' : ''}`.trim()

interface RowProps<T> {
  table: string
  columns: readonly Column<T>[]
  row: T
  index: number
  isSelected: boolean
  onSelect: ((row: T) => void) | undefined
}

/** Made anew only when it is another: rows are never changed in place. */
function Row<T>({ table, columns, row, index, isSelected, onSelect }: RowProps<T>) {
  return useMemo(
    () => (
      <div
        class={`row${isSelected ? ' selected' : ''}`}
        role="row"
        id={isSelected ? `${table}-selected` : undefined}
        aria-rowindex={index + 2}
        aria-selected={onSelect ? isSelected : undefined}
        style={{ transform: `translateY(${index * rowHeight}px)` }}
        onClick={() => onSelect?.(row)}
      >
        {columns.map(column => (
          <span key={column.key} role={onSelect ? 'gridcell' : 'cell'} class={classOf(column)}>
            {(column.cell ?? column.value)(row)}
          </span>
        ))}
      </div>
    ),
    [row, index, isSelected],
  )
}

interface HeadingProps<T> {
  column: Column<T>
  order: SortOrder | undefined
  onOrder: ((order: SortOrder) => void) | undefined
}

function Heading<T>({ column, order, onOrder }: HeadingProps<T>) {
  const { key, title = key } = column
  const sorted = order?.key === key
  const sort = sorted ? (order.descending ? 'descending' : 'ascending') : undefined
  return (
    <span role="columnheader" aria-sort={sort} class={classOf(column)}>
      {onOrder ? (
        <button type="button" onClick={() => onOrder({ key, descending: sorted && !order.descending })}>
          {title}
          {sorted && <span aria-hidden="true">{order.descending ? ' ▾' : ' ▴'}</span>}
        </button>
      ) : (
        title
      )}
    </span>
  )
}

/** 'n of m', for beside a search. */
export function RowCount({ shown, all, noun: plural }: { shown: number; all: number; noun: string }) {
  const noun = all === 1 ? plural.replace(/s$/, '') : plural
  return (
    <span class="count" role="status">
      {shown === all ? `${grouped(all)} ${noun}` : `${grouped(shown)} of ${grouped(all)} ${noun}`}
    </span>
  )
}
