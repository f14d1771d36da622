import { updateInWords } from '../../../protocol/columns'
import { count, dateAndClock, duration, grouped } from '../format'
import { useApp, useClock, useSignals } from './hooks'

/** The broker at a glance. */
export function Header() {
  const { model, ui } = useApp()
  useSignals([model.statusChanged, model.link.signal])
  const now = useClock(1000)
  const { status, link } = model
  const facts: Array<[string, string, string?]> = status
    ? [
        ['allocations', grouped(model.loading ? status.allocations : model.inventory.allocations.size)],
        ['unclaimed', count(status.unclaimed)],
        ['mappings', count(status.mappings)],
        ['clients', `${status.clients}/${status.clientsMax}`],
        ['up', duration(now - status.startedAt), `since ${dateAndClock(status.startedAt)}`],
        ['version', status.version, `process ${status.pid}, boot ${status.bootId}`],
      ]
    : []
  return (
    <header class="bar">
      <h1>membroker</h1>
      <LinkPill kind={link.state.kind} />
      {typeof status?.frozen === 'string' && (
        <span class="pill frozen" title="Every change is refused until thaw">
          frozen{status.frozen === '' ? '' : `: ${status.frozen}`}
        </span>
      )}
      {status?.update && (
        <span
          class="pill frozen"
          title={`begun by uid ${status.update.uid} at ${dateAndClock(status.update.begunAt)}`}
        >
          {updateInWords(status.update)}
        </span>
      )}
      <dl class="facts">
        {facts.map(([name, value, title]) => (
          <div key={name} title={title}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <button type="button" class="quiet" onClick={() => ui.toggleHelp()} aria-keyshortcuts="?">
        Help <kbd>?</kbd>
      </button>
    </header>
  )
}

function LinkPill({ kind }: { kind: string }) {
  const words: Record<string, string> = { connecting: 'connecting', live: 'live', away: 'away' }
  return (
    <span class={`pill ${kind}`} role="status" data-link={kind}>
      {words[kind]}
    </span>
  )
}
