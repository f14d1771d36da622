import { systemReason } from '../../../protocol/system-reason'
import { exitCode, explain, Failure } from './exit'
import { buildProgram } from './program'
import { helpCommand } from './verb'

async function main(): Promise<void> {
  const json = wantsJson(process.argv)
  process.stdout.on('error', error => onOutputLost(error, json))
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
function onOutputLost(error: NodeJS.ErrnoException, json: boolean): never {
  if (error.code === 'EPIPE') process.exit(exitCode.good)
  const reason = `the output can't be written: ${systemReason(error)}`
  const { text, exit } = explain(new Failure(error.code ?? 'Failed', reason, exitCode.refused), json)
  process.stderr.write(`${text}\n`)
  process.exit(exit)
}

/** Also where the arguments can't be parsed; what follows -- is another command's. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end < 0 ? undefined : end).includes('--json')
}

void main()
