import { cellsOf } from '../../../src/client/ctl/terminal/cells'

/**
 * What a terminal shows after what it was sent. It knows the sequences that broker-ctl uses, and throws at any other, so
 * that a test never takes for granted what it does not see.
 */
export class VirtualTerminal {
  private cells: string[][] = []
  private row = 0
  private column = 0
  private rest = ''
  alternate = false
  cursorHidden = false
  wraps = true
  /** How often everything was erased. */
  clears = 0
  /** Characters beyond the edges since then. */
  overflows = 0
  /** Anything was shown in a color, bold or inverse. */
  colored = false
  /** What was written outside the alternate screen, sequences and all. */
  normal = ''

  constructor(
    public rows: number,
    public columns: number,
  ) {
    this.clear()
  }

  resize(rows: number, columns: number): void {
    this.rows = rows
    this.columns = columns
    this.clear()
  }

  /** As seen, without blanks at the ends. */
  get lines(): string[] {
    return this.cells.map(line => line.join('').trimEnd())
  }

  get text(): string {
    return this.lines.join('\n')
  }

  write(text: string): void {
    let input = this.rest + text
    this.rest = ''
    while (input !== '') {
      const next = input.indexOf('\u001b')
      if (next !== 0) {
        this.print(next < 0 ? input : input.slice(0, next))
        input = next < 0 ? '' : input.slice(next)
        continue
      }
      const [sequence, mode, numbers, final] = /^\[(\??)([\d;]*)([A-Za-z])/.exec(input.slice(1)) ?? []
      if (sequence === undefined) {
        if (!/^(\[\??[\d;]*)?$/.test(input.slice(1)))
          throw new Error(`an unknown sequence: ${JSON.stringify(input.slice(0, 20))}`)
        this.rest = input
        return
      }
      this.obey(mode!, numbers!, final!)
      input = input.slice(1 + sequence.length)
    }
  }

  private obey(mode: string, numbers: string, final: string): void {
    if (final === 'm' && numbers !== '0') this.colored = true
    if (!this.alternate && mode === '') this.normal += `\u001b[${numbers}${final}`
    const parameters = numbers.split(';').map(Number)
    switch (`${mode}${final}`) {
      case 'H':
        this.row = (parameters[0] || 1) - 1
        this.column = (parameters[1] || 1) - 1
        return
      case 'J':
        if (parameters[0] !== 2) break
        this.clears++
        this.overflows = 0
        this.clear()
        return
      case 'K':
        if (parameters[0]) break
        this.cells[this.row]?.fill(' ', this.column)
        return
      case 'm':
        return
      case '?h':
      case '?l':
        this.set(parameters[0]!, final === 'h')
        return
    }
    throw new Error(`an unknown sequence: ${mode}${numbers}${final}`)
  }

  private set(mode: number, on: boolean): void {
    if (mode === 1049) this.alternate = on
    else if (mode === 25) this.cursorHidden = !on
    else if (mode === 7) this.wraps = on
    else throw new Error(`an unknown mode: ${mode}`)
  }

  private print(text: string): void {
    if (!this.alternate) {
      this.normal += text
      return
    }
    for (const character of text) {
      if (character < ' ') throw new Error(`a control character: ${JSON.stringify(character)}`)
      if (this.wraps) throw new Error('drawn where lines wrap')
      const line = this.cells[this.row]
      const cells = cellsOf(character)
      if (!line || this.column + cells > this.columns) this.overflows++
      if (!line) continue
      // Without wrapping, what does not fit lands on the last cell.
      const at = Math.min(this.column, this.columns - 1)
      line[at] = character
      for (let next = 1; next < cells; next++) line[at + next] = ''
      this.column = at + cells
    }
  }

  private clear(): void {
    this.cells = Array.from({ length: this.rows }, () => Array(this.columns).fill(' '))
  }
}
