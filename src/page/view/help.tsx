import { useEffect, useRef } from 'preact/hooks'
import { useApp, useSignals } from './hooks'
import { mapShortcuts, shortcuts } from './shortcuts'

export function Help() {
  const { ui } = useApp()
  useSignals([ui.signal], 0)
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    if (ui.helpOpen) dialog.current?.showModal()
    else dialog.current?.close()
  }, [ui.helpOpen])
  return (
    <dialog ref={dialog} aria-labelledby="help-title" onClose={() => ui.helpOpen && ui.toggleHelp(false)}>
      <h2 id="help-title">Keyboard</h2>
      <ShortcutList rows={shortcuts} />
      <h3>In the memory map</h3>
      <ShortcutList rows={mapShortcuts} />
      <p>With a mouse: the wheel zooms, dragging moves, a click selects. With fingers: pinch and drag.</p>
      <p>
        Commands are those of <code>broker-ctl</code>; write <code>help</code> at the prompt.
      </p>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  )
}

function ShortcutList({ rows }: { rows: typeof shortcuts }) {
  return (
    <dl class="shortcuts">
      {rows.map(({ keys, does }) => (
        <div key={does}>
          <dt>
            {keys.map(key => (
              <kbd key={key}>{key}</kbd>
            ))}
          </dt>
          <dd>{does}</dd>
        </div>
      ))}
    </dl>
  )
}
