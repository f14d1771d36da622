/** A command line that is not one; the message is for the viewer. */
export class UsageError extends Error {}

/** Words of a line as a shell would make them: blanks part, quotes hold together, a backslash takes the next one. */
export function splitWords(line: string): string[] {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (let i = 0; i < line.length; i++) {
    const character = line[i]!
    if (quote !== '') {
      if (character === quote) quote = ''
      else if (character === '\\' && quote === '"' && i + 1 < line.length) word += line[++i]!
      else word += character
    } else if (character === '"' || character === "'") {
      quote = character
      word ??= ''
    } else if (character === '\\' && i + 1 < line.length) word = (word ?? '') + line[++i]!
    else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? '') + character
  }
  if (quote !== '') throw new UsageError(`a quote (${quote}) is not closed`)
  if (word !== undefined) words.push(word)
  return words
}

/** A word that splitWords makes one word of again. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

export interface Arguments {
  positional: string[]
  options: Map<string, string>
}

/** Options by name, with the placeholder of their value; '' for options without one. */
export type OptionSpec = Readonly<Record<string, string>>

/** Tells options from other words. '--' ends the options. */
export function parseArguments(words: readonly string[], spec: OptionSpec): Arguments {
  const positional: string[] = []
  const options = new Map<string, string>()
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (word === '--') {
      positional.push(...words.slice(i + 1))
      break
    }
    if (!word.startsWith('--')) {
      positional.push(word)
      continue
    }
    const [name, given] = splitOnce(word, '=')
    const takes = spec[name]
    if (takes === undefined) throw new UsageError(`there is no option ${name}`)
    if (takes === '' && given !== undefined) throw new UsageError(`${name} takes no value`)
    const value = takes === '' ? '' : (given ?? words[++i])
    if (value === undefined) throw new UsageError(`${name} needs a value: ${takes}`)
    options.set(name, value)
  }
  return { positional, options }
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}
