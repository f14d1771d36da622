import { isVerb, verbs } from './verbs'
import { quoteWord } from './words'

interface Completion {
  /** The part of the line that is certain now. */
  line: string
  /** Completions of the last word; at most as many as a person reads. */
  candidates: string[]
}

/** The names to choose from. */
interface Names {
  allocations: Iterable<string>
  ranges: Iterable<string>
  mappings: Iterable<number>
}

const candidatesMax = 40

/** Completions of a line: its verb, its options, the name of its allocation, mapping or range. */
export function complete(line: string, names: Names): Completion {
  const start = line.search(/\S*$/)
  const before = line.slice(0, start)
  const word = line.slice(start).replace(/^'/, '')
  const parts = before.split(/\s+/).filter(part => part !== '')
  const noun = isVerb(`${parts[0]} ${parts[1]}`)
  const verb = noun ? `${parts[0]} ${parts[1]}` : parts[0]
  const others = parts.slice(noun ? 2 : 1)
  const candidates: string[] = []
  let common: string | undefined
  for (const candidate of poolOf(verb, others, word, names)) {
    if (!candidate.startsWith(word)) continue
    common = common === undefined ? candidate : commonPrefix(common, candidate)
    if (candidates.length < candidatesMax) candidates.push(candidate)
  }
  if (common === undefined) return { line, candidates: [] }
  if (candidates.length === 1) return { line: `${before}${quoteWord(common)} `, candidates }
  return { line: before + common, candidates }
}

/** The words that may stand in the place of the last one. */
function poolOf(
  verb: string | undefined,
  others: readonly string[],
  word: string,
  names: Names,
): Iterable<string> {
  if (verb === undefined) return new Set(Object.keys(verbs).map(name => name.split(' ')[0]!))
  if (verb === 'help') return Object.keys(verbs)
  if (!isVerb(verb))
    return Object.keys(verbs)
      .filter(name => others.length === 0 && name.startsWith(`${verb} `))
      .map(name => name.split(' ')[1]!)
  const { usage, options } = verbs[verb]!
  if (word.startsWith('-')) return Object.keys(options ?? {})
  if (others.at(-1) === '--range') return names.ranges
  if (verb === 'log-level') return ['trace', 'debug', 'info', 'warn', 'error', 'silent']
  if (verb === 'revoke') return mapped(names.mappings)
  const takesName = usage.includes('<name...>') || (/[<[](name|prefix)/.test(usage) && others.length === 0)
  return takesName && verb !== 'allocate' ? names.allocations : []
}

function* mapped(numbers: Iterable<number>): Iterable<string> {
  for (const number of numbers) yield String(number)
}

function commonPrefix(a: string, b: string): string {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return a.slice(0, length)
}
