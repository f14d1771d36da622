/** Text as a terminal shows it: in cells, of which a character takes none, one or two. */

let segmenter: Intl.Segmenter | undefined
/** Made when the first text needs it: that takes as long as the rest of a short verb. */
const graphemesOf = (text: string) => {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' })
  return segmenter.segment(text)
}

const plain = /^[\x20-\x7e]*$/
const invisible = /^[\p{Mn}\p{Me}\p{Cf}]+$/u
/** East Asian Wide and Fullwidth (Unicode TR 11), by block, and pictures. */
const wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{17000}-\u{18aff}\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u
const picture = /\ufe0f/

// biome-ignore lint/suspicious/noControlCharactersInRegex: what is looked for
const sequence = /\u001b\[[\d;]*m/g

/** Cells that a text takes; colours take none. */
export function cellsOf(text: string): number {
  if (plain.test(text)) return text.length
  let cells = 0
  for (const { segment } of graphemesOf(text.replace(sequence, ''))) cells += cellsOfOne(segment)
  return cells
}

function cellsOfOne(grapheme: string): number {
  if (invisible.test(grapheme)) return 0
  return wide.test(grapheme) || picture.test(grapheme) ? 2 : 1
}

/** As much of a text as fits, its end marked where some was left out; colours that it begins it ends. */
export function clip(text: string, cells: number, mark = '…'): string {
  if (cellsOf(text) <= cells) return text
  if (cells <= 0) return ''
  let room = cells - cellsOf(mark)
  if (room < 0) return clip(text, cells, '')
  let out = ''
  let coloured = false
  let from = 0
  const take = (part: string): boolean => {
    for (const { segment } of graphemesOf(part)) {
      room -= cellsOfOne(segment)
      if (room < 0) return false
      out += segment
    }
    return true
  }
  for (const match of text.matchAll(sequence)) {
    if (!take(text.slice(from, match.index))) break
    out += match[0]
    coloured = true
    from = match.index + match[0].length
  }
  if (room >= 0) take(text.slice(from))
  return `${out}${mark}${coloured ? '\u001b[0m' : ''}`
}

/** Exactly so many cells: clipped, or filled with blanks after it, or before it. */
export function cell(text: string, cells: number, align: 'left' | 'right' = 'left'): string {
  const shown = clip(text, cells)
  const blanks = ' '.repeat(Math.max(0, cells - cellsOf(shown)))
  return align === 'left' ? shown + blanks : blanks + shown
}
