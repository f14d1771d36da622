import { useEffect } from 'preact/hooks'
import { Detail } from './detail'
import { Header } from './header'
import { Help } from './help'
import { useApp, useSignals } from './hooks'
import { MapPanel } from './map-panel'
import { Notices } from './notices'
import { Prompt } from './prompt'
import { Refused } from './refused'
import { onShortcut } from './shortcuts'
import { Tabs } from './tabs'

export function App() {
  const app = useApp()
  const { model } = app
  useSignals([model.link.signal], 0)
  useEffect(() => {
    const listener = (event: KeyboardEvent) => onShortcut(event, app)
    addEventListener('keydown', listener)
    return () => removeEventListener('keydown', listener)
  }, [app])
  const { state } = model.link
  if (state.kind === 'refused') return <Refused why={state.why} />
  return (
    <>
      <Header />
      <Notices />
      <main>
        <MapPanel />
        <div class="work">
          <Tabs />
          <Detail />
        </div>
      </main>
      <Prompt />
      <Help />
    </>
  )
}
