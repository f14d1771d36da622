import { readFileSync } from 'node:fs'
import { sources } from '../../protocol/source'
import { MiB, parseSize } from '../../protocol/units'
import { banner } from './banner'
import { Broker } from './broker'
import { commandLine, exit, type Options } from './command-line'
import { ConfigError, embeddedDefault, loadConfig, reloadConfig } from './config/config'
import { tableBytesFor } from './config/range'
import type { Settings } from './config/settings'
import { UserLookup } from './config/users'
import type { Console } from './console/console'
import { followKernelLog } from './contents/poison'
import { isEnvironment } from './failure'
import { dispatcher } from './handler/dispatch'
import { type Logger, makeLog } from './log/log'
import { recover } from './recover/recover'
import { Stopwatch } from './recover/stopwatch'
import { InheritedError, takeInherited } from './service/inherited'
import { ServiceManager } from './service/service-manager'
import { Server, SocketInUse } from './session/server'
import { shortenJournals } from './state/journals'
import { version } from './version'

const program = commandLine().exitOverride(error =>
  process.exit(error.exitCode === 0 ? exit.good : exit.usage),
)

function settingsFrom(options: Options): Settings {
  if (options.config !== undefined && (options.directory !== undefined || options.size !== undefined))
    throw new ConfigError('--directory and --size are for running without --config')
  let bytes: number | undefined
  if (options.size !== undefined) {
    bytes = parseSize(options.size)
    if (bytes === undefined || bytes < MiB)
      throw new ConfigError(`--size: '${options.size}' is not a size from 1MiB to 2^53 bytes`)
  }
  return overruled(
    options,
    options.config !== undefined
      ? loadConfig(options.config, options.socket)
      : embeddedDefault({
          ...(options.socket !== undefined && { socket: options.socket }),
          ...(options.directory !== undefined && { directory: options.directory }),
          ...(bytes !== undefined && { bytes }),
        }),
  )
}

/** The command line counts more than the file. */
function overruled(options: Options, settings: Settings): Settings {
  if (options.logLevel !== undefined) settings.logLevel = options.logLevel
  if (!['trace', 'debug', 'info', 'warn', 'error', 'silent'].includes(settings.logLevel))
    throw new ConfigError(
      `--log-level: '${settings.logLevel}' is not one of trace, debug, info, warn, error, silent`,
    )
  return settings
}

async function main(): Promise<void> {
  const options = program.parse().opts<Options>()
  if (options.json && !options.check) throw new ConfigError('--json goes with --check')
  const inherited = takeInherited()
  const settings = settingsFrom(options)
  if (options.check) {
    console.log(
      options.json
        ? JSON.stringify(plain(settings))
        : `${options.config ?? 'the embedded default'} is good: ${settings.ranges.map(range => range.name).join(', ')}`,
    )
    return
  }
  if (options.format !== undefined) prepareFormat(settings, options.format)
  const log = makeLog(settings.logLevel)
  process.on('uncaughtException', error => uncaught(log, error))
  // From the start of the process.
  const tookMs = new Stopwatch(0)
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim().replaceAll('-', '')
  const service = new ServiceManager(log, inherited)
  const { listener } = inherited
  if (listener && listener.path !== settings.socket)
    log.warn(
      { socket: listener.path, configured: settings.socket },
      "the broker uses the service manager's socket",
    )
  const listening = (read: Settings) => ({ ...read, ...(listener && { socket: listener.path }) })
  const users = new UserLookup()
  const reread = async () =>
    listening(
      options.config === undefined
        ? settingsFrom(options)
        : overruled(options, await reloadConfig(options.config, users, options.socket)),
    )
  const broker = new Broker({ settings: listening(settings), bootId, log, service, reread })
  broker.workers.start()
  if (options.format !== undefined) return format(broker, options.format)
  const dispatch = dispatcher(broker)
  // The socket's lock first: of two brokers started at once, one gives way before it touches a table.
  const server = Server.bind(broker)
  // Without a file there is nothing to read, and the signal says that the terminal is gone.
  if (options.config !== undefined)
    process.on('SIGHUP', () => {
      broker.reload({}).catch(error => {
        if (!(error instanceof ConfigError)) throw error
      })
    })
  broker.console = await startConsole(broker)
  tookMs.lap('process')
  await recover(broker)
  await followKernelLog(broker)
  tookMs.lap('recover')
  server.listen(dispatch)
  broker.console?.serve(dispatch)
  log.info({ socket: broker.settings.socket, pid: process.pid, version, tookMs }, 'ready')
  service.ready(broker.summary())
  broker.updates.serving()
  void shortenJournals(broker.inventory.ranges.values())
  if (process.stdout.isTTY || options.config === undefined) {
    const { socket, ranges } = broker.settings
    const view = (name: string) => broker.inventory.ranges.get(name)!.view()
    console.log(
      banner(
        version,
        socket,
        ranges.map(range => ({ configured: range, view: view(range.name) })),
      ),
    )
  }

  // There is nothing to save: the table is right after every change. The next start goes on with unfinished work.
  const stop = (signal: NodeJS.Signals) => {
    log.info({ signal }, 'shutting down; memory and table stay')
    service.stopping()
    server.stop()
    process.exit(exit.good)
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

/** From a callback without a caller, or a promise that nobody waits for. */
function uncaught(log: Logger, error: unknown): void {
  if (isEnvironment(error)) {
    log.error({ err: error }, 'the system refused a call unexpectedly; the broker goes on')
    return
  }
  log.fatal({ err: error }, 'internal error')
  process.exit(exit.failed)
}

/** Loaded here: a broker without a console has no HTTP server in it. */
function startConsole(broker: Broker): Promise<Console | undefined> | undefined {
  if (!broker.settings.console) return undefined
  const { Console } = require('./console/console') as typeof import('./console/console')
  return Console.start(broker, broker.settings.console)
}

/** For programs that are to look at the same memory. Sizes are in bytes; a source's own keys have their names in the file. */
function plain({ socket, ranges }: Settings) {
  return {
    socket,
    ranges: ranges.map(({ alignBytes, format, ...range }) => ({
      ...{ path: '', base: null, hugePageBytes: range.huge_page ?? 0 },
      ...range,
      tableBytes: range.tableBytes ?? tableBytesFor(range.bytes),
    })),
  }
}

/** Only that range, so that no other is touched. */
function prepareFormat(settings: Settings, name: string): void {
  const range = settings.ranges.find(candidate => candidate.name === name)
  if (!range) throw new ConfigError(`--format: no range is called '${name}'`)
  if (sources[range.source].table !== 'inRange')
    throw new ConfigError(`--format: a ${range.source} range has its table in a file; move that away instead`)
  settings.ranges = [{ ...range, format: true }]
}

async function format(broker: Broker, name: string): Promise<void> {
  const server = Server.bind(broker)
  await recover(broker)
  server.stop()
  const { reason } = broker.inventory.ranges.get(name)!
  if (reason !== undefined)
    throw Object.assign(new Error(`${name} was not formatted: ${reason}`), { code: 'RangeReadOnly' })
  const { size } = broker.inventory.ranges.get(name)!.table.state.poison
  const kept = size > 0 ? ` ${size} pieces of bad memory, known from the old table, stay out of use.` : ''
  console.log(`${name} has an empty table; the broker scrubs its memory when it runs.${kept}`)
  process.exit(exit.good)
}

main().catch(error => {
  const expected =
    error instanceof ConfigError ||
    error instanceof SocketInUse ||
    error instanceof InheritedError ||
    error.code !== undefined
  console.error(`membrokerd: ${expected ? error.message : error.stack}`)
  process.exit(error instanceof ConfigError ? exit.usage : exit.failed)
})
