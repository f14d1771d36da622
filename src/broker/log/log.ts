import { fstatSync } from 'node:fs'
import pino from 'pino'
import { StandardError } from './standard-error'

export type Logger = pino.Logger

interface Destination {
  write(line: string): void
  flushSync(): void
  /** The next line may wait for others. */
  isPatient: boolean
}

/** JSON lines for machines, readable lines for a person at a terminal. */
export function makeLog(level: string): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: pino.stdSerializers.errWithCause },
  }
  const format = isTerminal(2) ? prettifier() : (line: string) => line
  const target = new StandardError(2, count => format(droppedLine(count)))
  process.on('exit', () => target.flushSync())
  const destination: Destination = {
    write: line => target.write(format(line), destination.isPatient),
    flushSync: () => target.flushSync(),
    isPatient: false,
  }
  return pino(options, destination)
}

/**
 * A line about a call that comes by the thousand. It is written a moment later, together with others of its kind, in order with
 * all lines: a write of its own took a seventh of the broker's time. Only a kill within that moment loses it.
 */
export function infoSoon(log: Logger, fields: object, text: string): void {
  const destination = log[pino.symbols.streamSym as never] as Destination
  destination.isPatient = true
  try {
    log.info(fields, text)
  } finally {
    destination.isPatient = false
  }
}

/** Asks for what a terminal is only where there may be one: node:tty is long to load. */
function isTerminal(fd: number): boolean {
  try {
    return fstatSync(fd).isCharacterDevice() && process.stderr.isTTY
  } catch {
    return false
  }
}

function prettifier(): (line: string) => string {
  const { prettyFactory } = require('pino-pretty') as typeof import('pino-pretty')
  return prettyFactory({ translateTime: 'SYS:HH:MM:ss.l', singleLine: true, colorize: true })
}

function droppedLine(dropped: number): string {
  const time = new Date().toISOString()
  return `${JSON.stringify({ level: pino.levels.values.warn, time, dropped, msg: 'log lines were lost: nobody was reading them' })}\n`
}
