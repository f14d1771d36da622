/** Text in the man(7) macros of roff. */

/** The text unchanged: with backslashes, hyphens that can be copied, quotes, and characters beyond ASCII. */
export function literal(text: string): string {
  return [...text].map(character => named[character] ?? ascii(character)).join('')
}

const named: Record<string, string> = {
  '\\': '\\e',
  '-': '\\-',
  "'": '\\(aq',
  '"': '\\(dq',
  '`': '\\(ga',
  '^': '\\(ha',
  '~': '\\(ti',
}

function ascii(character: string): string {
  const code = character.codePointAt(0)!
  return code < 0x7f ? character : `\\[u${code.toString(16).toUpperCase().padStart(4, '0')}]`
}

/** One or more lines of running text. roff takes none of them for a macro. */
export function text(content: string): string {
  return literal(content).replace(/^(?=\.)/gm, '\\&')
}

export function bold(content: string): string {
  return `\\fB${literal(content)}\\fR`
}

/** Placeholders, as in <name>, in italics; the rest in bold. */
export function usage(content: string): string {
  return content
    .split(/(<[^>]+>|\[[^\]]+\])/)
    .map(part => {
      const [, open, word, close] = /^([<[])(.*)([>\]])$/.exec(part) ?? []
      if (word === undefined) return part.trim() === '' ? part : bold(part)
      const italic = `\\fI${literal(word)}\\fR`
      return open === '<' ? italic : `${open}${italic}${close}`
    })
    .join('')
}

export function title(name: string, section: number, version: string): string {
  return `.TH ${literal(name.toUpperCase())} ${section} \\(dq\\(dq \\(dqmembroker ${literal(version)}\\(dq`.replaceAll(
    '\\(dq',
    '"',
  )
}

export function section(heading: string, ...parts: readonly string[]): string {
  return [`.SH ${literal(heading)}`, ...parts].join('\n')
}

/** heading: roff. */
export function subsection(heading: string, ...parts: readonly string[]): string {
  return [`.SS ${heading}`, ...parts].join('\n')
}

/**
 * Paragraphs, between empty lines; a list item begins with "- ", and its further lines with two blanks. Other lines that
 * begin with a blank stay as they are.
 */
export function prose(content: string): string {
  const blocks: Array<{ kind: 'text' | 'item' | 'verbatim'; lines: string[] }> = []
  let open = false
  for (const line of content.split('\n')) {
    const last = blocks.at(-1)
    const inItem = open && last?.kind === 'item' && line.startsWith('  ')
    const kind = line.startsWith('- ') ? 'item' : line.startsWith(' ') ? 'verbatim' : 'text'
    if (line === '') open = false
    else if (inItem) last.lines.push(line.trimStart())
    else if (open && kind !== 'item' && last?.kind === kind) last.lines.push(line)
    else {
      blocks.push({ kind, lines: [kind === 'item' ? line.slice(2) : line] })
      open = true
    }
  }
  const macro = { text: '.PP', item: '.IP \\(bu 2' }
  return blocks
    .map(({ kind, lines }) =>
      kind === 'verbatim' ? verbatim(lines) : `${macro[kind]}\n${text(lines.join('\n'))}`,
    )
    .join('\n')
}

/** Lines that stay as they are, indented together. */
export function verbatim(lines: readonly string[]): string {
  const blanks = Math.min(...lines.filter(line => line !== '').map(line => /^ */.exec(line)![0].length))
  return ['.PP', '.RS 4', '.nf', ...lines.map(line => text(line.slice(blanks))), '.fi', '.RE'].join('\n')
}

/** Terms, in roff, and their meanings. */
export function definitions(pairs: ReadonlyArray<readonly [term: string, meaning: string]>): string {
  return pairs.map(([term, meaning]) => `.TP\n${term}\n${text(meaning)}`).join('\n')
}
