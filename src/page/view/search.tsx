import { focusIds } from './shortcuts'

export interface SearchProps {
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
