/** Keys by name; a printable character is itself. */
export type Key = string

const sequences: Record<string, Key> = {
  '\u001b[A': 'up',
  '\u001bOA': 'up',
  '\u001b[B': 'down',
  '\u001bOB': 'down',
  '\u001b[C': 'right',
  '\u001bOC': 'right',
  '\u001b[D': 'left',
  '\u001bOD': 'left',
  '\u001b[5~': 'pageUp',
  '\u001b[6~': 'pageDown',
  '\u001b[H': 'home',
  '\u001bOH': 'home',
  '\u001b[1~': 'home',
  '\u001b[F': 'end',
  '\u001bOF': 'end',
  '\u001b[4~': 'end',
  '\u001b[Z': 'backTab',
  '\u001b': 'escape',
  '\t': 'tab',
  '\r': 'enter',
  '\n': 'enter',
  '\u007f': 'backspace',
  '\b': 'backspace',
  '\u0003': 'ctrl-c',
  '\u0004': 'ctrl-d',
  '\u000c': 'ctrl-l',
  '\u0015': 'ctrl-u',
  '\u001a': 'ctrl-z',
}

/** An escape sequence whole, or one character. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: what keys send
const parts = /\u001b\[[\d;]*[A-Za-z~]|\u001bO[A-Z]|[\s\S]/gu

/** The keys in the bytes of a terminal in raw mode, without keys that have no name here. */
export function keysIn(input: string): Key[] {
  return [...input.matchAll(parts)]
    .map(([part]) => sequences[part] ?? (/^[^\p{Cc}]$/u.test(part) ? part : undefined))
    .filter(key => key !== undefined)
}
