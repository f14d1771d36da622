/** The text is not a Varlink interface; line and column (both from 1) say where. */
export class IdlError extends Error {
  override readonly name = 'IdlError'
  readonly line: number
  readonly column: number

  constructor(message: string, line: number, column: number) {
    super(`line ${line}, column ${column}: ${message}`)
    this.line = line
    this.column = column
  }
}

export interface Token {
  readonly kind: 'word' | 'symbol' | 'end'
  readonly text: string
  readonly line: number
  readonly column: number
  /** The comment lines that end on the line above. */
  readonly doc: string
}

// A word may be an interface name, so it takes dots and dashes; `->` is no part of one.
const piece = /([ \t\r]+)|(\n)|#([^\n\r]*)|([A-Za-z0-9_](?:[A-Za-z0-9_.]|-(?!>))*)|(->|\[\]|[()[\],:?])/y

/** The tokens of an interface's text, the last of kind `end`. */
export function scan(text: string): Token[] {
  const tokens: Token[] = []
  let comments: string[] = []
  let line = 1
  let lineStart = 0
  let lineIsBlank = true
  piece.lastIndex = 0
  while (piece.lastIndex < text.length) {
    const start = piece.lastIndex
    const column = start - lineStart + 1
    const match = piece.exec(text)
    if (match === null) throw new IdlError(`unexpected ${show(text.slice(start))}`, line, column)
    const [, , newline, comment, word, symbol] = match
    if (newline !== undefined) {
      if (lineIsBlank) comments = []
      line++
      lineStart = piece.lastIndex
      lineIsBlank = true
    } else if (comment !== undefined) {
      // A comment behind code on its line is no doc comment of the next line.
      if (lineIsBlank) comments.push(comment.replace(/^ /, '').trimEnd())
      lineIsBlank = false
    } else if (word !== undefined || symbol !== undefined) {
      const kind = word === undefined ? 'symbol' : 'word'
      tokens.push({ kind, text: match[0], line, column, doc: comments.join('\n') })
      comments = []
      lineIsBlank = false
    }
  }
  tokens.push({ kind: 'end', text: '', line, column: text.length - lineStart + 1, doc: '' })
  return tokens
}

function show(rest: string): string {
  const [character = ''] = rest
  return /[\p{C}\p{Z}]/u.test(character)
    ? `U+${character.codePointAt(0)!.toString(16).padStart(4, '0')}`
    : `'${character}'`
}
