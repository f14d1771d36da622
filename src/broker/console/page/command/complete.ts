import { verbs } from './verbs'
import { quoteWord } from './words'

export interface Completion {
  /** The line as far as it is certain now. */
  line: string
  /** What the last word can become; at most so many as can be looked through. */
  candidates: string[]
}

const candidatesMax = 40

/** What a line can become: its verb, its options, its allocation's or mapping's or range's name. */
export function complete(
  line: string,
  names: { allocations: Iterable<string>; ranges: Iterable<string>; mappings: Iterable<number> },
): Completion {
  const start = line.search(/\S*$/)
  const before = line.slice(0, start)
  const word = line.slice(start).replace(/^'/, '')
  const [verb, ...others] = before.split(/\s+/).filter(part => part !== '')
  const spec = verb !== undefined && Object.hasOwn(verbs, verb) ? verbs[verb]! : undefined
  let pool: Iterable<string> = []
  if (verb === undefined) pool = Object.keys(verbs)
  else if (word.startsWith('-')) pool = Object.keys(spec?.options ?? {})
  else if (others.at(-1) === '--range') pool = names.ranges
  else if (verb === 'help') pool = Object.keys(verbs)
  else if (verb === 'log-level') pool = ['trace', 'debug', 'info', 'warn', 'error', 'silent']
  else if (
    /<name\.\.\.>/.test(spec?.usage ?? '') ||
    (/[<[](name|prefix)/.test(spec?.usage ?? '') && others.length === 0)
  )
    pool = verb === 'allocate' ? [] : names.allocations
  else if (verb === 'revoke') pool = mapped(names.mappings)

  const candidates: string[] = []
  let common: string | undefined
  for (const candidate of pool) {
    if (!candidate.startsWith(word)) continue
    common = common === undefined ? candidate : commonPrefix(common, candidate)
    if (candidates.length < candidatesMax) candidates.push(candidate)
  }
  if (common === undefined) return { line, candidates: [] }
  if (candidates.length === 1) return { line: `${before}${quoteWord(common)} `, candidates }
  return { line: before + common, candidates }
}

function* mapped(numbers: Iterable<number>): Iterable<string> {
  for (const number of numbers) yield String(number)
}

function commonPrefix(a: string, b: string): string {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return a.slice(0, length)
}
