/** One line: a value with its labels. */
interface Line {
  name: string
  labels: Record<string, string>
  value: number
}

/** What an answer of /metrics says, read strictly. */
export class Exposition {
  readonly types = new Map<string, string>()
  readonly help = new Map<string, string>()
  readonly lines: Line[] = []

  constructor(text: string) {
    if (!text.endsWith('\n')) throw new Error('the last line does not end')
    for (const line of text.split('\n').filter(each => each !== '')) this.read(line)
  }

  private read(line: string): void {
    const [, kind, of, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (kind !== undefined) {
      const map = kind === 'HELP' ? this.help : this.types
      if (map.has(of!)) throw new Error(`${of} has two of ${kind}`)
      map.set(of!, rest!)
      return
    }
    const [, name, list = '', value] = /^([a-z][a-z0-9_]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (name === undefined) throw new Error(`not a line: ${line}`)
    const pairs = [...list.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)",?/g)]
    if (pairs.map(([whole]) => whole).join('') !== list) throw new Error(`not labels: ${list}`)
    const number = value === '+Inf' ? Infinity : Number(value)
    if (Number.isNaN(number)) throw new Error(`not a number: ${line}`)
    this.lines.push({
      name,
      labels: Object.fromEntries(pairs.map(([, key, text]) => [key, text!])),
      value: number,
    })
  }

  /** The only line with that name and those labels among its own. */
  value(name: string, labels: Record<string, string> = {}): number {
    const found = this.lines.filter(
      line =>
        line.name === name && Object.entries(labels).every(([key, value]) => line.labels[key] === value),
    )
    if (found.length !== 1) throw new Error(`${found.length} lines of ${name} ${JSON.stringify(labels)}`)
    return found[0]!.value
  }
}
