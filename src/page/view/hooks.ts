import { createContext } from 'preact'
import { useContext, useEffect, useReducer } from 'preact/hooks'
import type { Signal } from '../signal'
import type { Model } from '../state/model'
import type { Ui } from '../state/ui'

/** Text that changes more often than this can't be read. */
const calmMs = 120

export interface App {
  model: Model
  ui: Ui
}

export const AppContext = createContext<App | undefined>(undefined)

export function useApp(): App {
  return useContext(AppContext)!
}

/** Renders the component again when one of these has changed, but not more often than a reader can follow. */
export function useSignals(signals: readonly Signal[], pauseMs = calmMs): void {
  const [, render] = useReducer((count: number) => count + 1, 0)
  const versions = () => signals.reduce((sum, { version }) => sum + version, 0)
  const rendered = versions()
  useEffect(() => {
    let last = performance.now()
    let timer: ReturnType<typeof setTimeout> | undefined
    const renderNow = () => {
      timer = undefined
      last = performance.now()
      render(undefined as never)
    }
    const changed = () => {
      if (timer !== undefined) return
      const wait = last + pauseMs - performance.now()
      if (wait <= 0) renderNow()
      else timer = setTimeout(renderNow, wait)
    }
    const ends = signals.map(signal => signal.listen(changed))
    // There may have been a change between the first drawing and now.
    if (versions() !== rendered) renderNow()
    return () => {
      clearTimeout(timer)
      for (const end of ends) end()
    }
  }, signals)
}

/** Renders again at intervals, for values that only time changes. */
export function useClock(everyMs: number): number {
  const [, render] = useReducer((count: number) => count + 1, 0)
  useEffect(() => {
    const timer = setInterval(() => render(undefined as never), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return Date.now()
}
