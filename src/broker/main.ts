#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import pino from 'pino'
import { formatSize, parseSize } from '../../protocol/units'
import { Broker } from './broker'
import { ConfigError, embeddedDefault, loadConfig, type Settings } from './config/config'
import { dispatcher } from './handler/dispatch'
import { LapTimes } from './recover/lap-times'
import { recover } from './recover/recover'
import { Server, SocketInUse } from './session/server'
import { version } from './version'

const exit = { good: 0, failed: 1, usage: 2 } as const

interface Options {
  config?: string
  socket?: string
  directory?: string
  size?: string
  logLevel?: string
  check?: boolean
  format?: string
}

const program = new Command('membrokerd')
  .description('Owns reserved memory and hands it to virtual machine monitors as mmap-able file descriptors.')
  .version(version)
  .option('-c, --config <file>', 'configuration (TOML); without one, a directory on /dev/shm for this user')
  .option('-s, --socket <path>', 'listen here')
  .option('-d, --directory <path>', 'without --config: keep the memory in this directory')
  .option('--size <size>', 'without --config: how much memory, for example 8G')
  .option('-l, --log-level <level>', 'trace, debug, info, warn, error or silent')
  .option(
    '--format <range>',
    'make an empty table in this range of the configuration, whatever is there, and end',
  )
  .option('--check', 'only read the configuration, and say what is wrong with it')
  .addHelpText(
    'after',
    `
Logs go to standard error: JSON lines, or readable ones on a terminal.

Exit codes: 0 shut down in order; 1 could not start or an internal error; 2 bad usage or configuration.

Examples:
  membrokerd                                   4 KiB pages on /dev/shm, for trying it out
  membrokerd --config /etc/membroker.toml      what a host runs
  membrokerd --config new.toml --check         is it right?`,
  )
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'membrokerd: ')) })
  .exitOverride(error => process.exit(error.exitCode === 0 ? exit.good : exit.usage))

function settingsFrom(options: Options): Settings {
  if (options.config !== undefined && (options.directory !== undefined || options.size !== undefined))
    throw new ConfigError('--directory and --size are for running without --config')
  let bytes: number | undefined
  if (options.size !== undefined) {
    bytes = parseSize(options.size)
    if (bytes === undefined || bytes < 2 ** 20)
      throw new ConfigError(`--size: '${options.size}' is not a size of at least 1MiB`)
  }
  const settings =
    options.config !== undefined
      ? loadConfig(options.config, options.socket)
      : embeddedDefault({
          ...(options.socket !== undefined && { socket: options.socket }),
          ...(options.directory !== undefined && { directory: options.directory }),
          ...(bytes !== undefined && { bytes }),
        })
  if (options.logLevel !== undefined) settings.logLevel = options.logLevel
  if (!['trace', 'debug', 'info', 'warn', 'error', 'silent'].includes(settings.logLevel))
    throw new ConfigError(
      `--log-level: '${settings.logLevel}' is not one of trace, debug, info, warn, error, silent`,
    )
  return settings
}

async function main(): Promise<void> {
  const options = program.parse().opts<Options>()
  const settings = settingsFrom(options)
  if (options.check) {
    console.log(
      `${options.config ?? 'the embedded default'} is good: ${settings.ranges.map(range => range.name).join(', ')}`,
    )
    return
  }
  if (options.format !== undefined) prepareFormat(settings, options.format)
  const log = makeLog(settings.logLevel)
  // From the start of the process.
  const tookMs = new LapTimes(0)
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim().replaceAll('-', '')
  const broker = new Broker(settings, bootId, log)
  if (options.format !== undefined) return format(broker, options.format)
  const dispatch = dispatcher(broker)
  // The socket's lock first: of two brokers started at once, one gives way before it touches a table.
  const server = Server.bind(broker)
  tookMs.lap('process')
  await recover(broker)
  tookMs.lap('recover')
  server.listen(dispatch)
  log.info({ socket: settings.socket, pid: process.pid, version, tookMs }, 'ready')
  if (process.stdout.isTTY || options.config === undefined) announce(settings)

  // Nothing is to be saved: the table is right after every change. What is under way is taken up at the next start.
  const stop = (signal: NodeJS.Signals) => {
    log.info({ signal }, 'shutting down; memory and table stay')
    server.stop()
    process.exit(exit.good)
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

/** JSON lines for machines, readable lines for a person at a terminal. Synchronous: the last line before a crash counts most. */
function makeLog(level: string): pino.Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  if (!process.stderr.isTTY) return pino(options, pino.destination({ fd: 2, sync: true }))
  const pretty = require('pino-pretty') as typeof import('pino-pretty')
  return pino(
    options,
    pretty({ destination: 2, sync: true, translateTime: 'SYS:HH:MM:ss.l', singleLine: true }),
  )
}

/** Only that range, so that no other is touched. */
function prepareFormat(settings: Settings, name: string): void {
  const range = settings.ranges.find(candidate => candidate.name === name)
  if (!range) throw new ConfigError(`--format: no range is called '${name}'`)
  if (range.source !== 'devdax' && range.source !== 'devmem')
    throw new ConfigError(`--format: a ${range.source} range has its table in a file; move that away instead`)
  settings.ranges = [{ ...range, format: true }]
}

async function format(broker: Broker, name: string): Promise<void> {
  const server = Server.bind(broker)
  await recover(broker)
  server.stop()
  const { reason } = broker.inventory.ranges.get(name)!
  if (reason !== undefined) throw new ConfigError(`${name} was not formatted: ${reason}`)
  console.log(`${name} has an empty table; its memory is scrubbed when the broker runs.`)
  process.exit(exit.good)
}

function announce(settings: Settings): void {
  const [range] = settings.ranges
  const environment =
    settings.socket === '/run/membroker/broker.sock' ? '' : `export MEMBROKER_SOCKET=${settings.socket}\n  `
  console.log(`membroker ${version} is listening on ${settings.socket}
It hands out ${formatSize(range!.bytes)} of memory kept in ${range!.path || 'memfds'}.

In another terminal, try:
  ${environment}npx broker-ctl status
  npx broker-ctl allocate vm0/ram 512M
  npx broker-ctl list

Ctrl-C stops the broker; the memory and its table stay.`)
}

main().catch(error => {
  const expected = error instanceof ConfigError || error instanceof SocketInUse || error.code !== undefined
  console.error(`membrokerd: ${expected ? error.message : error.stack}`)
  process.exit(error instanceof ConfigError ? exit.usage : exit.failed)
})
