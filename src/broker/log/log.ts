import pino from 'pino'
import { StandardError } from './standard-error'

/** JSON lines for machines, readable lines for a person at a terminal. */
export function makeLog(level: string): pino.Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  const format = process.stderr.isTTY ? prettifier() : (line: string) => line
  const target = new StandardError(2, count => format(droppedLine(count)))
  process.on('exit', () => target.flushSync())
  const destination = {
    write: (line: string) => target.write(format(line)),
    flushSync: () => target.flushSync(),
  }
  return pino(options, destination)
}

function prettifier(): (line: string) => string {
  const { prettyFactory } = require('pino-pretty') as typeof import('pino-pretty')
  return prettyFactory({ translateTime: 'SYS:HH:MM:ss.l', singleLine: true, colorize: true })
}

function droppedLine(dropped: number): string {
  const time = new Date().toISOString()
  return `${JSON.stringify({ level: pino.levels.values.warn, time, dropped, msg: 'log lines were lost: nobody was reading them' })}\n`
}
