/**
 * The line of a TOML text on which the value at a path was written, for error messages: 1-based, or the line of the
 * nearest enclosing table or key that is written out. The parser gives values without positions.
 * Path segments are keys, and indices for arrays of tables.
 */
export function lineOf(text: string, path: readonly (string | number)[]): number {
  const wanted = path.map(String)
  const tablesSeen = new Map<string, number>()
  let table: string[] = []
  let best = { depth: 0, line: 1 }
  const consider = (found: string[], line: number) => {
    if (found.length > best.depth && found.every((part, i) => part === wanted[i]))
      best = { depth: found.length, line }
  }
  text.split('\n').forEach((raw, index) => {
    const line = raw.trim()
    const header = /^(\[\[?)\s*([^\]]+?)\s*\]\]?/.exec(line)
    if (header) {
      const name = keyParts(header[2]!)
      table = name
      if (header[1] === '[[') {
        const count = tablesSeen.get(name.join('.')) ?? 0
        tablesSeen.set(name.join('.'), count + 1)
        table = [...name, String(count)]
      }
      consider(table, index + 1)
      return
    }
    const key = /^([A-Za-z0-9_."'-]+(?:\s*\.\s*[A-Za-z0-9_."'-]+)*)\s*=/.exec(line)
    if (key) consider([...table, ...keyParts(key[1]!)], index + 1)
  })
  return best.line
}

function keyParts(key: string): string[] {
  return key.split('.').map(part => part.trim().replace(/^["']|["']$/g, ''))
}
