import { Fragment } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Allocation, Recovery as Report } from '../../../protocol/generated/broker'
import { dateAndClock, grouped, printable, size } from '../format'
import { useApp, useSignals } from './hooks'

const kinds: Record<Report['kind'], string> = {
  fresh: 'a new table was made',
  sameBoot: 'the broker had restarted; the kernel was the same',
  newBoot: 'the kernel had been replaced',
  unreadable: "the table can't be read; nothing was changed",
}

/** The broker's start, and the state of each allocation since. */
export function Recovery() {
  const { model } = useApp()
  useSignals([model.recoveryChanged, model.inventoryChanged, model.statusChanged], 500)
  const [failed, setFailed] = useState(false)
  useEffect(() => {
    model.readRecovery().catch(() => setFailed(true))
  }, [model])
  return (
    <div class="recovery-page">
      {failed && model.recoveries.length === 0 && <p class="empty">The broker did not tell.</p>}
      {model.recoveries.map(report => (
        <RangeRecovery key={report.range} report={report} />
      ))}
    </div>
  )
}

function RangeRecovery({ report }: { report: Report }) {
  const { model, ui } = useApp()
  const allocations = [...model.inventory.allocations.values()].filter(({ range }) => range === report.range)
  const verdicts = tally(allocations, ({ verdict }) => verdict)
  const claimed = allocations.filter(({ holderPid }) => typeof holderPid === 'number')
  const unclaimed = allocations.length - claimed.length
  const byHolder = tally(claimed, ({ holderPid }) => String(holderPid))
  const commandOf = (pid: string) => model.clients.find(client => String(client.pid) === pid)?.command ?? ''
  return (
    <article>
      <h2>
        {report.range}: {kinds[report.kind]}
      </h2>
      <dl class="pairs">
        <dt>started</dt>
        <dd>
          {dateAndClock(report.startedAt)}, recovered in {report.tookMs} ms
        </dd>
        <dt>boot</dt>
        <dd>
          <code>{report.bootId}</code>
        </dd>
        <dt>boot before</dt>
        <dd>
          <code>{report.previousBootId ?? 'none is known'}</code>
        </dd>
        <dt>table copy</dt>
        <dd>
          {typeof report.checkpoint === 'number'
            ? `${'AB'[report.checkpoint] ?? report.checkpoint}, the newest good one`
            : 'none'}
        </dd>
        <dt>replayed</dt>
        <dd>
          {grouped(report.replayed)} journal entries, to sequence {grouped(report.sequence)}
        </dd>
        <dt>epoch</dt>
        <dd>{report.epoch}</dd>
        <dt>found</dt>
        <dd>
          {grouped(report.allocations)} allocations, {grouped(report.unclaimed)} of them unclaimed since
        </dd>
        {report.findings.map(finding => (
          <Fragment key={finding}>
            <dt>finding</dt>
            <dd>{finding}</dd>
          </Fragment>
        ))}
      </dl>
      <h3>Now</h3>
      <dl class="pairs">
        <dt>verdicts</dt>
        <dd class="verdicts">
          {verdicts.length === 0 && 'no allocations'}
          {verdicts.map(([verdict, rows]) => (
            <span key={verdict}>
              <span class={`verdict ${verdict}`}>{verdict}</span> {grouped(rows.length)}{' '}
              <small>{size(rows.reduce((sum, { bytes }) => sum + bytes, 0))}</small>
            </span>
          ))}
        </dd>
        <dt>claimed</dt>
        <dd>
          {grouped(claimed.length)} by {grouped(byHolder.length)} processes
        </dd>
        <dt>unclaimed</dt>
        <dd>{grouped(unclaimed)}</dd>
      </dl>
      <Group
        title="Not claimed"
        rows={allocations.filter(({ holderPid }) => typeof holderPid !== 'number')}
        onSelect={ui.select.bind(ui)}
      />
      {byHolder.slice(0, groupsMax).map(([pid, rows]) => (
        <Group
          key={pid}
          title={`Claimed by process ${pid} ${printable(commandOf(pid))}`}
          rows={rows}
          onSelect={ui.select.bind(ui)}
        />
      ))}
      {byHolder.length > groupsMax && (
        <p>
          … and {grouped(byHolder.length - groupsMax)} processes more; the table of allocations has them all.
        </p>
      )}
    </article>
  )
}

const groupsMax = 20
const rowsMax = 50

interface GroupProps {
  title: string
  rows: readonly Allocation[]
  onSelect: (name: string) => void
}

function Group({ title, rows, onSelect }: GroupProps) {
  if (rows.length === 0) return null
  return (
    <details>
      <summary>
        {title}: {grouped(rows.length)}
      </summary>
      <ul class="lines">
        {rows.slice(0, rowsMax).map(row => (
          <li key={row.id}>
            <button type="button" class="link" onClick={() => onSelect(row.name)}>
              <bdi>{printable(row.name)}</bdi>
            </button>{' '}
            {size(row.bytes)}, uid {row.uid}, <span class={`verdict ${row.verdict}`}>{row.verdict}</span>
          </li>
        ))}
        {rows.length > rowsMax && <li>… and {grouped(rows.length - rowsMax)} more</li>}
      </ul>
    </details>
  )
}

/** Rows by a key, the largest group first. */
function tally<T>(rows: readonly T[], keyOf: (row: T) => string): Array<[string, T[]]> {
  const groups = new Map<string, T[]>()
  for (const row of rows) {
    const group = groups.get(keyOf(row))
    if (group) group.push(row)
    else groups.set(keyOf(row), [row])
  }
  return [...groups].sort(([, a], [, b]) => b.length - a.length)
}
