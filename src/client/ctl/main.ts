#!/usr/bin/env node
import { explain } from './exit'
import { buildProgram } from './program'

async function main(): Promise<void> {
  try {
    await buildProgram().parseAsync()
  } catch (error) {
    const { text, exit } = explain(error, wantsJson(process.argv))
    process.exitCode = exit
    if (exit !== 0) process.stderr.write(`${text}\n`)
  }
}

/** Also where the arguments can't be parsed; what follows -- is another command's. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end < 0 ? undefined : end).includes('--json')
}

void main()
