import type { FunctionComponent } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { type Tab, tabs } from '../state/ui'
import { Allocations } from './allocations'
import { Bytes } from './bytes'
import { Charts } from './charts'
import { Clients } from './clients'
import { Events } from './events'
import { useApp, useSignals } from './hooks'
import { Mappings } from './mappings'
import { Recovery } from './recovery'

const panels: Record<Tab, FunctionComponent> = {
  allocations: Allocations,
  mappings: Mappings,
  clients: Clients,
  events: Events,
  charts: Charts,
  recovery: Recovery,
  bytes: Bytes,
}

export function Tabs() {
  const { ui } = useApp()
  useSignals([ui.signal], 0)
  const list = useRef<HTMLDivElement>(null)
  useEffect(() => {
    list.current
      ?.querySelector('[aria-selected=true]')
      ?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }, [ui.tab])
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    const at = tabs.indexOf(ui.tab)
    const next =
      step !== undefined
        ? (at + step + tabs.length) % tabs.length
        : { Home: 0, End: tabs.length - 1 }[event.key]
    if (next === undefined) return
    event.preventDefault()
    ui.show(tabs[next]!)
    document.getElementById(`tab-${tabs[next]}`)?.focus()
  }
  const Panel = panels[ui.tab]
  return (
    <section class="tabs" aria-label="Tables and charts">
      <div role="tablist" aria-label="What is shown" ref={list} onKeyDown={onKeyDown}>
        {tabs.map(tab => (
          <button
            key={tab}
            id={`tab-${tab}`}
            type="button"
            role="tab"
            aria-selected={tab === ui.tab}
            aria-controls="panel"
            tabIndex={tab === ui.tab ? 0 : -1}
            onClick={() => ui.show(tab)}
          >
            {tab}
          </button>
        ))}
      </div>
      <div role="tabpanel" id="panel" aria-labelledby={`tab-${ui.tab}`} class={`panel ${ui.tab}`}>
        <Panel />
      </div>
    </section>
  )
}
