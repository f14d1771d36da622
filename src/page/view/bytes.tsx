import { useState } from 'preact/hooks'
import { parseSize, roundDown } from '../../../protocol/units'
import { hex, hexRows, printable, size } from '../format'
import { CallFailed } from '../link/connection'
import { useApp, useSignals } from './hooks'

const pageBytes = 1024

interface Shown {
  name: string
  offset: number
  data: Uint8Array
}

/** An allocation's bytes, if the configuration lets the console read them. */
export function Bytes() {
  const { model, ui } = useApp()
  useSignals([ui.signal])
  const [offsetText, setOffsetText] = useState('0')
  const [shown, setShown] = useState<Shown>()
  const [failure, setFailure] = useState<CallFailed | Error>()
  const name = ui.selected
  const allocation = name === undefined ? undefined : model.inventory.allocations.get(name)
  const offset = parseOffset(offsetText)

  const read = async (at: number) => {
    if (!allocation) return
    setOffsetText(hex(at))
    try {
      const length = Math.min(pageBytes, allocation.bytes - at)
      const { data } = await model.link.call('ReadAllocation', { name: allocation.name, offset: at, length })
      setShown({ name: allocation.name, offset: at, data: Uint8Array.from(atob(data), c => c.charCodeAt(0)) })
      setFailure(undefined)
    } catch (error) {
      setShown(undefined)
      setFailure(error as Error)
    }
  }
  const submit = (event: Event) => {
    event.preventDefault()
    if (offset !== undefined) void read(offset)
  }
  if (!allocation)
    return <p class="empty">Select an allocation, in its table or in the map, to look into it.</p>
  const last = Math.max(0, roundDown(allocation.bytes - 1, pageBytes))
  const isOutside = offset === undefined || offset >= allocation.bytes
  return (
    <>
      <form class="tools" onSubmit={submit}>
        <label>
          <span>
            Bytes of <bdi>{printable(allocation.name)}</bdi> ({size(allocation.bytes)}) from
          </span>
          <input
            type="text"
            class="offset"
            aria-label="Offset"
            aria-invalid={isOutside}
            value={offsetText}
            spellcheck={false}
            onInput={event => setOffsetText(event.currentTarget.value)}
          />
        </label>
        <button type="submit" disabled={isOutside}>
          Read
        </button>
        <button
          type="button"
          disabled={!shown || shown.offset === 0}
          onClick={() => void read(Math.max(0, (offset ?? 0) - pageBytes))}
        >
          Back
        </button>
        <button
          type="button"
          disabled={!shown || shown.offset >= last}
          onClick={() => void read(Math.min(last, (offset ?? 0) + pageBytes))}
        >
          On
        </button>
        <span class="count">Each look is logged by the broker.</span>
      </form>
      {failure && <Failure failure={failure} />}
      {shown && shown.name === name && (
        <section
          class="hex"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
          tabIndex={0}
          aria-label={`${shown.data.length} bytes of ${shown.name} from ${hex(shown.offset)}`}
        >
          <pre>{hexRows(shown.data, shown.offset).join('\n')}</pre>
        </section>
      )}
    </>
  )
}

function Failure({ failure }: { failure: CallFailed | Error }) {
  const denied = failure instanceof CallFailed && failure.message.includes('raw_view')
  return (
    <div class="explain" role="alert">
      <p>{failure.message}</p>
      {denied && (
        <>
          <p>Memory is shown only where the broker's configuration permits it:</p>
          <pre>
            <code>{'[console]\nraw_view = true'}</code>
          </pre>
          <p>Then restart the broker; guests do not notice. This page connects again by itself.</p>
        </>
      )}
    </div>
  )
}

/** '0x1000', '4096', '2M'. */
function parseOffset(text: string): number | undefined {
  const trimmed = text.trim()
  const value = /^0x[0-9a-f]+$/i.test(trimmed) ? Number(trimmed) : parseSize(trimmed)
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined
}
