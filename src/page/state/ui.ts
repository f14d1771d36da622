import type { View } from '../map/viewport'
import { Signal } from '../signal'

export const tabs = ['allocations', 'mappings', 'clients', 'events', 'charts', 'recovery', 'bytes'] as const
export type Tab = (typeof tabs)[number]

/** The viewer's choices; none of them is the broker's state. */
export class Ui {
  readonly signal = new Signal()
  tab: Tab = 'allocations'
  range: string | undefined
  /** Of each range that was zoomed into. */
  readonly views = new Map<string, View>()
  /** An allocation's name. */
  selected: string | undefined
  helpOpen = false

  show(tab: Tab): void {
    this.tab = tab
    this.signal.changed()
  }

  select(name: string | undefined): void {
    this.selected = name
    this.signal.changed()
  }

  lookAt(range: string, view?: View): void {
    this.range = range
    if (view) this.views.set(range, view)
    this.signal.changed()
  }

  toggleHelp(open = !this.helpOpen): void {
    this.helpOpen = open
    this.signal.changed()
  }
}
