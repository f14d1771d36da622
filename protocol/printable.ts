/**
 * Other people's text, such as names and metadata, where control and format characters are shown and not obeyed: they would let
 * it write on an operator's terminal, or look like another's by the direction of writing.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, character => {
    const hex = character.codePointAt(0)!.toString(16)
    return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, '0')}`
  })
}

/** Others' words that may have several lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}
