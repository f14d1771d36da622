import type { BlockStyle } from '../terminal/blocks'
import { cell, cellsOf, clip } from '../terminal/cells'
import { type Color, paint } from '../terminal/color'

/** The canvas for all parts of a frame: so many columns, at one moment. */
export class Canvas {
  constructor(
    readonly columns: number,
    readonly style: BlockStyle,
    /** In milliseconds since the Unix epoch. */
    readonly now: number,
  ) {}

  paint(text: string, color: Color | undefined): string {
    return paint(text, color, this.style.colors)
  }

  /** A line across the whole width, in inverse. */
  title(text: string): string {
    return this.paint(cell(text, this.columns), 'inverse')
  }

  /** One text at the left edge and one at the right. The right one gives way first. */
  ends(left: string, right: string): string {
    const blanks = this.columns - cellsOf(left) - cellsOf(right)
    return blanks < 2 ? clip(left, this.columns) : `${left}${' '.repeat(blanks)}${right}`
  }
}
