import { exitCode, explain } from './exit'
import { buildProgram } from './program'
import { helpCommand } from './verb'

async function main(): Promise<void> {
  process.stdout.on('error', onOutputLost)
  const json = wantsJson(process.argv)
  const program = buildProgram(help => json || process.stderr.write(help))
  try {
    await program.parseAsync()
  } catch (error) {
    const { text, exit } = explain(error, json, helpCommand(program))
    process.exitCode = exit
    if (exit !== 0) process.stderr.write(`${text}\n`)
  }
}

/** The reader of the output may stop early: no reason to complain. */
function onOutputLost(error: NodeJS.ErrnoException): never {
  if (error.code === 'EPIPE') process.exit(exitCode.good)
  process.stderr.write(`broker-ctl: the output can't be written: ${error.message}\n`)
  process.exit(exitCode.refused)
}

/** Also where the arguments can't be parsed; what follows -- is another command's. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end < 0 ? undefined : end).includes('--json')
}

void main()
