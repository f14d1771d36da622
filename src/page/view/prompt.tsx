import { useEffect, useRef, useState } from 'preact/hooks'
import { complete } from '../command/complete'
import { runCommand } from '../command/verbs'
import { printable } from '../format'
import { useApp } from './hooks'
import { focusIds } from './shortcuts'

interface Entry {
  id: number
  kind: 'command' | 'step' | 'result' | 'failure'
  text: string
}

const entriesKept = 200
const historyKept = 100

/** The command line: the verbs of broker-ctl. */
export function Prompt() {
  const { model } = useApp()
  const [line, setLine] = useState('')
  const [entries, setEntries] = useState<Entry[]>([])
  const [candidates, setCandidates] = useState<string[]>([])
  const [running, setRunning] = useState(false)
  const history = useRef<{ lines: string[]; at: number }>({ lines: [], at: 0 })
  const nextId = useRef(1)
  const output = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (output.current) output.current.scrollTop = output.current.scrollHeight
  }, [entries])

  const add = (kind: Entry['kind'], text: string) => {
    if (text === '') return
    const shown = text.split('\n').map(printable).join('\n')
    setEntries(before => [...before.slice(1 - entriesKept), { id: nextId.current++, kind, text: shown }])
  }
  const run = async () => {
    const command = line.trim()
    if (command === '' || running) return
    const { lines } = history.current
    if (lines.at(-1) !== command) lines.push(command)
    history.current = { lines: lines.slice(-historyKept), at: Math.min(lines.length, historyKept) }
    setLine('')
    setCandidates([])
    add('command', command)
    if (command === 'clear') return setEntries([])
    setRunning(true)
    try {
      add('result', await runCommand(command, { link: model.link, say: text => add('step', text) }))
    } catch (error) {
      add('failure', (error as Error).message)
    } finally {
      setRunning(false)
    }
  }
  const recall = (step: number) => {
    const { lines, at } = history.current
    const next = Math.max(0, Math.min(lines.length, at + step))
    history.current.at = next
    setLine(lines[next] ?? '')
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowUp') recall(-1)
    else if (event.key === 'ArrowDown') recall(1)
    // An empty line lets the focus go on, as everywhere else.
    else if (event.key === 'Tab' && !event.shiftKey && line !== '') {
      const completion = complete(line, {
        allocations: model.inventory.allocations.keys(),
        ranges: model.inventory.ranges.keys(),
        mappings: model.inventory.mappings.keys(),
      })
      if (completion.candidates.length === 0) return
      setLine(completion.line)
      setCandidates(completion.candidates.length > 1 ? completion.candidates : [])
    } else return
    event.preventDefault()
  }
  return (
    <section class="prompt" aria-label="Command prompt">
      {entries.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
        <div class="output" ref={output} role="log" aria-label="Output" tabIndex={0}>
          {entries.map(({ id, kind, text }) => (
            <pre key={id} class={kind}>
              {text}
            </pre>
          ))}
        </div>
      )}
      {candidates.length > 0 && (
        <p class="candidates" role="status">
          {printable(candidates.join('  '))}
        </p>
      )}
      <form
        onSubmit={event => {
          event.preventDefault()
          void run()
        }}
      >
        <label for={focusIds.prompt}>broker-ctl</label>
        <input
          id={focusIds.prompt}
          type="text"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          placeholder="help   (: from anywhere, Tab completes, ↑ recalls)"
          value={line}
          onInput={event => {
            setLine(event.currentTarget.value)
            setCandidates([])
          }}
          onKeyDown={onKeyDown}
        />
        {running && <span class="count">running…</span>}
        {entries.length > 0 && (
          <button type="button" class="quiet" onClick={() => setEntries([])}>
            Clear
          </button>
        )}
      </form>
    </section>
  )
}
