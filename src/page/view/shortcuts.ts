import { tabs } from '../state/ui'
import type { App } from './hooks'

/** The keys outside of fields; the help lists it. */
export const shortcuts: ReadonlyArray<{ keys: string[]; does: string }> = [
  { keys: ['?'], does: 'this help' },
  { keys: tabs.map((_, i) => String(i + 1)), does: `tabs: ${tabs.join(', ')}` },
  { keys: ['/'], does: 'search in the table' },
  { keys: [':'], does: 'command prompt' },
  { keys: ['m'], does: 'memory map' },
  { keys: ['c'], does: 'colour the map by state or by owner' },
  { keys: ['p'], does: 'pause or resume the events' },
  { keys: ['Esc'], does: 'leave the field; close the detail' },
]

export const mapShortcuts: ReadonlyArray<{ keys: string[]; does: string }> = [
  { keys: ['+', '-'], does: 'zoom in and out' },
  { keys: ['←', '→'], does: 'move' },
  { keys: ['↑', '↓'], does: 'previous and next extent' },
  { keys: ['Enter'], does: 'zoom to the extent' },
  { keys: ['Home', 'End'], does: 'begin and end of the range' },
  { keys: ['0'], does: 'the whole range' },
]

/** Elements that shortcuts lead to, by their ids. */
export const focusIds = { search: 'search', prompt: 'prompt', map: 'map', pause: 'pause' } as const

export function onShortcut(event: KeyboardEvent, { ui, model }: App): void {
  if (event.ctrlKey || event.altKey || event.metaKey) return
  const target = event.target as HTMLElement
  if (event.key === 'Escape') {
    if (ui.helpOpen) ui.toggleHelp(false)
    else if (isField(target)) target.blur()
    else ui.select(undefined)
    return
  }
  if (isField(target)) return
  const tab = tabs[Number(event.key) - 1]
  if (tab) ui.show(tab)
  else if (event.key === '?') ui.toggleHelp()
  else if (event.key === '/') document.getElementById(focusIds.search)?.focus()
  else if (event.key === ':') document.getElementById(focusIds.prompt)?.focus()
  else if (event.key === 'm') document.getElementById(focusIds.map)?.focus()
  else if (event.key === 'c') model.setColourBy(model.colourBy === 'state' ? 'owner' : 'state')
  else if (event.key === 'p') document.getElementById(focusIds.pause)?.click()
  else return
  event.preventDefault()
}

function isField(element: HTMLElement): boolean {
  return element.matches?.('input, textarea, select')
}
