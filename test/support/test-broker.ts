import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectUnix, Socket, SystemError } from '../../native'
import type { BrokerMethodName, BrokerMethods } from '../../protocol/generated/broker'
import { brokerInterfaceName } from '../../protocol/generated/broker'
import { Caller } from '../../protocol/wire/caller'
import type { OpenChannel } from '../../protocol/wire/channel'
import { packageRoot } from './package-root'

export { until } from './until'

const MiB = 2 ** 20

export interface TestBrokerOptions {
  /**
   * TOML of the ranges and the rest; the socket is set from outside, and DIRECTORY stands for the broker's directory. Default: a
   * directory on tmpfs of 256 MiB.
   */
  config?: string
  /** Instead: a configuration with one range, 'main', of 64 MiB or so many, and what more says, as TOML. */
  main?: { source?: 'directory' | 'memfd'; bytes?: string; graceMs?: number; more?: string }
  /** A command that becomes the rest of its arguments, or ends them when it is killed. */
  runBy?: readonly string[]
  /** Directory of the default range. */
  directory?: string
  bytes?: number
  /** Default: debug. */
  logLevel?: string
  /** A command that becomes the rest of its arguments, for the first start. */
  launcher?: string[]
}

/** A real broker process on a socket and memory of its own. dispose() ends it and removes everything it had. */
export class TestBroker {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'membroker-test-'))
  readonly directory: string
  readonly socket = path.join(this.folder, 'broker.sock')
  program = path.join(packageRoot, 'dist/program/membrokerd.js')
  process: ChildProcess | undefined
  log = ''
  private readonly callers = new Set<TestClient>()

  private constructor(private readonly options: TestBrokerOptions) {
    this.directory = options.directory ?? mkdtempSync('/dev/shm/membroker-test-')
    const config = options.config ?? (options.main && this.mainConfig(options.main))
    if (config !== undefined) writeFileSync(this.configFile, config.replaceAll('DIRECTORY', this.directory))
  }

  private mainConfig({
    source = 'directory',
    bytes = '64MiB',
    graceMs = 2_000,
    more = '',
  }: NonNullable<TestBrokerOptions['main']>): string {
    const place = source === 'directory' ? `path = "${this.directory}"\n` : ''
    return (
      `[broker]\nsocket = "${this.socket}"\n[revoke]\ngrace_ms = ${graceMs}\non_deadline = "quarantine"\n` +
      `[[range]]\nname = "main"\nsource = "${source}"\nbytes = "${bytes}"\n${place}${more}`
    )
  }

  static async start(options: TestBrokerOptions = {}): Promise<TestBroker> {
    const broker = new TestBroker(options)
    await broker.start(options.launcher)
    return broker
  }

  get pid(): number {
    return this.process!.pid!
  }

  get configFile(): string {
    return path.join(this.folder, 'broker.toml')
  }

  arguments(): string[] {
    const range =
      this.options.config === undefined && this.options.main === undefined
        ? ['--directory', this.directory, '--size', String(this.options.bytes ?? 256 * MiB)]
        : ['--config', this.configFile]
    return [this.program, '--socket', this.socket, '--log-level', this.options.logLevel ?? 'debug', ...range]
  }

  /** launcher: as runBy, for this once. Resolves when the broker accepts connections; rejects with its output when it ends before that. */
  async start(launcher: readonly string[] = this.options.runBy ?? []): Promise<void> {
    const [file, ...args] = [...launcher, process.execPath, ...this.arguments()] as [string, ...string[]]
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.process = child
    child.stdout!.resume()
    child.stderr!.setEncoding('utf8').on('data', text => {
      this.log += text
    })
    const exited = new Promise<never>((_, reject) =>
      child.once('exit', (code, signal) =>
        reject(new Error(`the broker ended (${code ?? signal}):\n${this.log.slice(-4000)}`)),
      ),
    )
    exited.catch(() => {})
    await Promise.race([exited, this.ready(child)])
  }

  private async ready(child: ChildProcess): Promise<void> {
    const from = this.log.length
    while (!existsSync(this.socket) || !this.log.slice(from).includes('"msg":"ready"')) {
      if (child.exitCode !== null || child.signalCode !== null) return
      await sleep(2)
    }
  }

  /** Ends the process and waits until it is gone; the memory stays. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | NodeJS.Signals> {
    const child = this.process!
    if (child.exitCode === null && child.signalCode === null) {
      const exit = new Promise<void>(resolve => child.once('exit', () => resolve()))
      child.kill(signal)
      await exit
    }
    return child.exitCode ?? child.signalCode!
  }

  async restart(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.kill(signal)
    await this.start()
  }

  client(): TestClient {
    const client = new TestClient(this.socket)
    this.callers.add(client)
    return client
  }

  /** One question, on a connection that is over with it: who asks until something is so does not use up the broker's places. */
  async ask<Name extends BrokerMethodName>(
    method: Name,
    parameters: BrokerMethods[Name]['in'],
  ): Promise<BrokerMethods[Name]['out']> {
    const client = this.client()
    try {
      return await client.call(method, parameters)
    } finally {
      client.close()
      this.callers.delete(client)
      await client.closed
    }
  }

  /** What the broker's descriptors point at; for before-and-after comparisons. */
  openFds(): string[] {
    const folder = `/proc/${this.pid}/fd`
    return readdirSync(folder)
      .map(fd => {
        try {
          return readlinkSync(path.join(folder, fd)).replace(/\d+/g, 'N')
        } catch {
          return undefined
        }
      })
      .filter(target => target !== undefined)
      .sort()
  }

  /** Bytes free in all ranges. */
  async freeBytes(): Promise<number> {
    const { ranges } = await this.ask('ListRanges', {})
    return ranges.reduce((sum, range) => sum + range.freeBytes, 0)
  }

  /** Every client made here, with its descriptors. */
  closeClients(): void {
    for (const client of this.callers) client.close()
    this.callers.clear()
  }

  async dispose(): Promise<void> {
    this.closeClients()
    if (this.process) await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
    if (this.options.directory === undefined && existsSync(this.directory))
      rmSync(this.directory, { recursive: true, force: true })
  }
}

/** The plain protocol, without the client library. */
export class TestClient {
  readonly caller: Caller
  readonly closed: Promise<Error | undefined>
  private readonly fds = new Set<number>()

  constructor(socket: string) {
    let onClose: (error: Error | undefined) => void
    this.closed = new Promise(resolve => {
      onClose = resolve
    })
    this.caller = new Caller(openChannel(connectUnix(socket)), {
      closeFd: closeSync,
      onClose: error => onClose(error),
    })
  }

  async call<Name extends BrokerMethodName>(
    method: Name,
    parameters: BrokerMethods[Name]['in'],
  ): Promise<BrokerMethods[Name]['out'] & { fds: number[] }> {
    const reply = await this.caller.call(`${brokerInterfaceName}.${method}`, parameters)
    for (const fd of reply.fds) this.fds.add(fd)
    return { ...(reply.parameters as BrokerMethods[Name]['out']), fds: reply.fds }
  }

  async *stream<Name extends BrokerMethodName>(
    method: Name,
    parameters: BrokerMethods[Name]['in'],
  ): AsyncIterableIterator<BrokerMethods[Name]['out'] & { fds: number[] }> {
    for await (const reply of this.caller.stream(`${brokerInterfaceName}.${method}`, parameters)) {
      for (const fd of reply.fds) this.fds.add(fd)
      yield { ...(reply.parameters as BrokerMethods[Name]['out']), fds: reply.fds }
    }
  }

  closeFd(fd: number): void {
    if (this.fds.delete(fd)) closeSync(fd)
  }

  /** The connection and every descriptor that came by it. */
  close(): void {
    this.caller.close()
    for (const fd of this.fds) closeSync(fd)
    this.fds.clear()
  }
}

export function openChannel(fd: number): OpenChannel {
  return events =>
    new Socket(fd, {
      onData: events.onData,
      onEnd: errno => events.onEnd(errno === 0 ? undefined : new SystemError('recvmsg', errno)),
      onDrain: events.onDrain,
    })
}
