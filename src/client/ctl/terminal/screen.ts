import { writeSync } from 'node:fs'
import type { ReadStream, WriteStream } from 'node:tty'
import { cellsOf, clip } from './cells'
import { type Key, keysIn } from './keys'

const enterScreen = '\u001b[?1049h\u001b[?25l\u001b[?7l\u001b[H\u001b[2J'
const leaveScreen = '\u001b[?7h\u001b[?25h\u001b[?1049l'

export interface Size {
  readonly columns: number
  readonly rows: number
}

interface ScreenEvents {
  onKey(key: Key): void
  /** The size has changed, or the screen needs a full redraw. */
  onResize(): void
}

/**
 * A terminal's alternate screen, drawn line by line: of a frame only the lines that differ from the last one are
 * written. Whatever ends the process, short of SIGKILL, the terminal is as it was.
 */
export class Screen {
  private readonly out: WriteStream & { fd: number }
  private readonly in: ReadStream | undefined
  private readonly events: ScreenEvents
  private shown: readonly string[] = []
  private active = false

  constructor(events: ScreenEvents, out = process.stdout, input: ReadStream = process.stdin) {
    this.out = out
    this.in = input.isTTY ? input : undefined
    this.events = events
  }

  get size(): Size {
    return { columns: this.out.columns || 80, rows: this.out.rows || 24 }
  }

  open(): void {
    process.on('exit', this.restore)
    process.on('uncaughtExceptionMonitor', this.restore)
    process.on('SIGTSTP', this.suspend)
    process.on('SIGCONT', this.resume)
    this.out.on('resize', this.redraw)
    this.in?.setEncoding('utf8').on('data', this.onInput)
    this.enter()
  }

  /** Idempotent. */
  close(): void {
    this.restore()
    process.off('exit', this.restore)
    process.off('uncaughtExceptionMonitor', this.restore)
    process.off('SIGTSTP', this.suspend)
    process.off('SIGCONT', this.resume)
    this.out.off('resize', this.redraw)
    this.in?.off('data', this.onInput)
    this.in?.pause()
  }

  /** Lines from the top; cuts lines and columns beyond the screen. */
  draw(frame: readonly string[]): void {
    if (!this.active) return
    const { columns, rows } = this.size
    const lines = frame.slice(0, rows).map(line => clip(line, columns, ''))
    let text = ''
    for (let row = 0; row < Math.max(lines.length, this.shown.length); row++) {
      const line = lines[row] ?? ''
      if (line === (this.shown[row] ?? '')) continue
      // Behind a full line the cursor stands on its last cell, not after it: erasing would take that.
      const rest = cellsOf(line) < columns ? '\u001b[K' : ''
      text += `\u001b[${row + 1};1H\u001b[0m${line}\u001b[0m${rest}`
    }
    this.shown = lines
    if (text !== '') this.out.write(text)
  }

  private readonly enter = () => {
    if (this.active) return
    this.active = true
    this.in?.setRawMode(true)
    this.in?.resume()
    this.out.write(enterScreen)
    this.redraw()
  }

  /** Synchronous, as the process may be about to end. */
  private readonly restore = () => {
    if (!this.active) return
    this.active = false
    try {
      this.in?.setRawMode(false)
      writeSync(this.out.fd, leaveScreen)
    } catch {
      // The terminal itself is gone.
    }
  }

  private readonly redraw = () => {
    this.shown = []
    if (this.active) this.out.write('\u001b[0m\u001b[2J')
    this.events.onResize()
  }

  private readonly onInput = (text: string) => {
    for (const key of keysIn(text)) {
      // The terminal itself would do this outside of raw mode.
      if (key === 'ctrl-z') process.kill(0, 'SIGTSTP')
      else if (key === 'ctrl-l') this.redraw()
      else this.events.onKey(key)
    }
  }

  /** By the signal's own effect, which the kernel leaves out where no shell is there to continue this process. */
  private readonly suspend = () => {
    this.restore()
    process.off('SIGTSTP', this.suspend)
    process.kill(process.pid, 'SIGTSTP')
    process.on('SIGTSTP', this.suspend)
    this.enter()
  }

  /** Stopped by whatever signal, the terminal was another program's in between. */
  private readonly resume = () => {
    if (!this.active) return this.enter()
    this.in?.setRawMode(true)
    this.redraw()
  }
}
