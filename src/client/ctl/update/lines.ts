import { setTimeout as sleep } from 'node:timers/promises'
import type { Participant } from '../../index'
import { printable } from '../table'
import { clip } from '../terminal/cells'
import { isScreen, paint } from '../terminal/color'
import { PatientOutput } from '../terminal/patient-output'

/** Lines of the screen that the rest of what is printed keeps. */
const otherLines = 4

/** At the end, for a reader that is slow. */
const flushMs = 1_000

/**
 * Steps of an update, and its participants under them: redrawn in their places on a terminal, else a line for each change.
 * Participants are paused meanwhile, so nobody waits for the reader, and the update goes on when the reader is gone.
 */
export class UpdateLines {
  private readonly output = new PatientOutput()
  private readonly over = new AbortController()
  private written: Promise<void> = Promise.resolve()
  private shown: readonly Participant[] = []
  /** What was last written of each, without a screen. */
  private readonly said = new Map<number, string>()
  private drawn = 0

  constructor(
    private readonly enabled: boolean,
    private readonly stream: NodeJS.WriteStream = process.stdout,
  ) {
    stream.removeAllListeners('error')
    stream.on('error', () => this.over.abort())
  }

  /** A line that belongs to no step. */
  write(text: string): void {
    if (this.over.signal.aborted) return
    this.written = this.output.write(text, this.over.signal).catch(() => {})
  }

  /** After this, nothing is written any more. */
  async end(): Promise<void> {
    await Promise.race([this.written, sleep(flushMs, undefined, { ref: false })])
    this.over.abort()
  }

  step(name: string, text: string): void {
    if (!this.enabled) return
    this.drawn = 0
    this.write(`${paint(name.padEnd(10), 'bold')}  ${printable(text)}\n`)
  }

  /** @param participants all of them, and each always at the same place */
  note(participants: readonly Participant[]): void {
    if (!this.enabled) return
    this.shown = participants.filter(({ waitedFor }) => waitedFor)
    if (isScreen(this.stream)) this.draw()
    else for (const [place, one] of participants.entries()) if (one.waitedFor) this.say(place, one)
  }

  /** A restarted broker asks everybody again, and times the same answers anew: nothing has changed by that. */
  private say(place: number, participant: Participant): void {
    const { state, detail } = participant
    const news = `${state} ${detail}`
    const before = this.said.get(place)
    if (before === news || (before !== undefined && state === 'asked')) return
    this.said.set(place, news)
    this.write(`  ${lineOf(participant)}\n`)
  }

  /** Those that are waited for first, and as many as the screen has room for. */
  private draw(): void {
    const { columns = 80, rows = 24 } = this.stream
    const all = [...this.shown].sort((a, b) => rank(a) - rank(b))
    const shown = all.slice(0, Math.max(1, rows - otherLines))
    const lines = shown.map(participant => clip(`  ${lineOf(participant)}`, columns - 1))
    if (all.length > shown.length) lines.push(`  and ${all.length - shown.length} more`)
    const up = this.drawn > 0 ? `\u001b[${this.drawn}A` : ''
    const below = lines.length < this.drawn ? '\u001b[J' : ''
    this.write(up + lines.map(line => `${line}\u001b[K\n`).join('') + below)
    this.drawn = lines.length
  }
}

const rank = ({ state }: Participant) => ['failed', 'left', 'late', 'asked', 'ready', 'idle'].indexOf(state)

function lineOf({ name, state, answeredAfterMs, detail }: Participant): string {
  const after = typeof answeredAfterMs === 'number' ? ` after ${seconds(answeredAfterMs)}` : ''
  const color = state === 'ready' ? 'green' : state === 'asked' ? undefined : 'yellow'
  return `${printable(name)}: ${paint(state, color)}${after}${detail ? ` (${printable(detail)})` : ''}`
}

/** '850 ms', '12.3 s' */
export function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}
