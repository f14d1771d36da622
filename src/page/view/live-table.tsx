import { useEffect, useMemo, useState } from 'preact/hooks'
import type { Inventory } from '../state/inventory'
import { SortedView } from '../state/sorted-view'
import { useApp, useSignals } from './hooks'
import { focusIds } from './shortcuts'
import { type Column, compareBy, RowCount, type SortOrder, VirtualTable } from './virtual-table'

interface LiveTableProps<T> {
  kind: 'allocation' | 'mapping'
  name: string
  columns: readonly Column<T>[]
  all: (inventory: Inventory) => ReadonlyMap<unknown, T>
  keyOf: (row: T) => number
  /** Whether a row has all the words of a search. */
  matches: (row: T, words: readonly string[]) => boolean
  /** The key of the selected row. */
  selected: number | undefined
  onSelect: (row: T) => void
  filters?: ReadonlyArray<{ title: string; accepts: (row: T) => boolean }>
}

/** A table of the inventory, sorted and searched, that follows its changes row by row. */
export function LiveTable<T extends object>(props: LiveTableProps<T>) {
  const { kind, name, columns, all, keyOf, matches, selected, onSelect, filters } = props
  const { model, ui } = useApp()
  useSignals([model.inventoryChanged, ui.signal])
  const [order, setOrder] = useState<SortOrder>({ key: columns[0]!.key, descending: false })
  const [search, setSearch] = useState('')
  const [filter, setFilter] = useState(0)

  const view = useMemo(
    () =>
      new SortedView<T>(
        () => 0,
        () => true,
      ),
    [],
  )
  useMemo(() => {
    const words = wordsOf(search)
    const wanted = filters?.[filter]?.accepts
    const accepts = (row: T) => (wanted?.(row) ?? true) && (words.length === 0 || matches(row, words))
    const by = compareBy(columns, order)
    const compare = (a: T, b: T) => by(a, b) || keyOf(a) - keyOf(b)
    view.reset(all(model.inventory).values(), compare, accepts)
  }, [search, filter, order])
  useEffect(() => {
    const replace = (old: unknown, next: unknown) => view.replace(old as T | undefined, next as T | undefined)
    const nothing = () => {}
    const rows = {
      allocation: kind === 'allocation' ? replace : nothing,
      mapping: kind === 'mapping' ? replace : nothing,
      reset: () => view.reset(all(model.inventory).values()),
    }
    // Between the first drawing and now there may have been changes.
    rows.reset()
    model.rows.add(rows)
    return () => void model.rows.delete(rows)
  }, [])
  return (
    <>
      <div class="tools">
        <Search value={search} onChange={setSearch} what={name} />
        {filters && (
          <select
            aria-label="Which"
            value={filter}
            onChange={event => setFilter(Number(event.currentTarget.value))}
          >
            {filters.map(({ title }, i) => (
              <option key={title} value={i}>
                {title}
              </option>
            ))}
          </select>
        )}
        <RowCount shown={view.rows.length} all={all(model.inventory).size} noun={name} />
      </div>
      <VirtualTable
        name={name}
        columns={columns}
        rows={view.rows}
        keyOf={keyOf}
        order={order}
        onOrder={setOrder}
        selected={selected}
        onSelect={onSelect}
        empty={model.loading ? 'Reading…' : `No ${name}.`}
      />
    </>
  )
}

/** The words of a search. */
export function wordsOf(search: string): string[] {
  return search.toLowerCase().split(/\s+/).filter(Boolean)
}

/** Whether every word is in one of the texts. */
export function hasWords(texts: readonly string[], words: readonly string[]): boolean {
  return words.every(word => texts.some(text => text.toLowerCase().includes(word)))
}

interface SearchProps {
  value: string
  onChange: (value: string) => void
  what: string
}

export function Search({ value, onChange, what }: SearchProps) {
  return (
    <input
      id={focusIds.search}
      type="search"
      placeholder={`Search ${what}  /`}
      aria-label={`Search ${what}`}
      autocomplete="off"
      spellcheck={false}
      value={value}
      onInput={event => onChange(event.currentTarget.value)}
    />
  )
}
