import { fstatSync } from 'node:fs'
import { StandardError } from './standard-error'

const levels = {
  trace: 10,
  debug: 20,
  info: 30,
  warn: 40,
  error: 50,
  fatal: 60,
  silent: Number.POSITIVE_INFINITY,
} as const
type Level = keyof typeof levels

type Write = {
  (message: string): void
  (fields: object, message: string): void
}

export type Logger = { level: string } & { readonly [level in Exclude<Level, 'silent'>]: Write }

/** JSON lines for machines, readable lines for a person at a terminal. */
export function makeLog(level: string): Logger {
  const format = isTerminal(2) ? prettifier() : (line: string) => line
  const target = new StandardError(2, count => format(droppedLine(count)))
  process.on('exit', () => target.flushSync())
  return new Log(level, {
    write: (line, isUrgent) => target.write(format(line), isUrgent),
    flushSync: () => target.flushSync(),
  })
}

export function silentLog(): Logger {
  return new Log('silent', { write: () => {}, flushSync: () => {} })
}

interface Output {
  write(line: string, isUrgent: boolean): void
  flushSync(): void
}

class Log implements Logger {
  private threshold = 0

  constructor(
    level: string,
    private readonly output: Output,
  ) {
    this.level = level
  }

  get level(): string {
    return Object.entries(levels).find(([, value]) => value === this.threshold)![0]
  }
  set level(level: string) {
    this.threshold = levels[level as Level]
  }

  readonly trace: Write = (fields, message?: string) => this.log(levels.trace, fields, message)
  readonly debug: Write = (fields, message?: string) => this.log(levels.debug, fields, message)
  readonly info: Write = (fields, message?: string) => this.log(levels.info, fields, message)
  readonly warn: Write = (fields, message?: string) => this.log(levels.warn, fields, message)
  readonly error: Write = (fields, message?: string) => this.log(levels.error, fields, message)
  readonly fatal: Write = (fields, message?: string) => {
    this.log(levels.fatal, fields, message)
    this.output.flushSync()
  }

  private log(level: number, fields: object | string, message: string | undefined): void {
    if (level < this.threshold) return
    const line = typeof fields === 'string' ? lineOf(level, {}, fields) : lineOf(level, fields, message!)
    this.output.write(line, level >= levels.warn)
  }
}

function lineOf(level: number, fields: object, message: string): string {
  const text = JSON.stringify('err' in fields ? { ...fields, err: describe(fields.err) } : fields)
  const inner = text.length > 2 ? `,${text.slice(1, -1)}` : ''
  return `{"level":${level},"time":"${new Date().toISOString()}"${inner},"msg":${JSON.stringify(message)}}\n`
}

/** An error with its causes: JSON has nothing for it. */
function describe(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack, cause } = error
  return { ...error, type: name, message, stack, ...(cause !== undefined && { cause: describe(cause) }) }
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
  return lineOf(levels.warn, { dropped }, 'log lines were lost: nobody was reading them')
}
