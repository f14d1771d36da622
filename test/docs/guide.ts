import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../support/package-root'

export const guideFolder = path.join(packageRoot, 'docs')

/** A block of code of a guide. */
interface Block {
  /** The first word after the fence. */
  language: string
  /** Whether the test of the guides runs it. */
  run: boolean
  /** The test that runs it, where that needs more than the test of the guides has. */
  by: string | undefined
  /** The programs without which it is left out. */
  needs: string[]
  text: string
}

/** Files of docs/ that people read. */
export function guideNames(): string[] {
  return readdirSync(guideFolder)
    .filter(name => name.endsWith('.md'))
    .sort()
}

export function readGuide(name: string): string {
  return readFileSync(path.join(guideFolder, name), 'utf8')
}

export function blocksOf(guide: string): Block[] {
  return [...guide.matchAll(/^```(\w+)(?: (.*))?\n([\s\S]*?)^```$/gm)].map(
    ([, language, words = '', text]) => ({
      language: language!,
      run: words.split(' ').includes('run'),
      by: /by=(\S+)/.exec(words)?.[1],
      needs: /needs=(\S+)/.exec(words)?.[1]?.split(',') ?? [],
      text: text!,
    }),
  )
}

/** The text as commands, those over several lines as one; without comments. */
export function commandsOf(text: string): string[] {
  return text
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map(line => line.replace(/(^|\s)#.*$/, '').trim())
    .filter(line => line !== '')
}
