import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { connectUnix } from '../../../native'
import { dist } from './root'
import { until } from './until'

export interface BrokerOptions {
  source?: 'directory' | 'memfd'
  graceMs?: number
  /** More of the configuration, as TOML. */
  more?: string
  /** What it is run by, which ends it when it is killed itself. */
  runBy?: readonly string[]
}

/** A real broker over a directory of its own, in a process of its own, that can be killed and started again. */
export class BrokerProcess {
  readonly directory: string
  readonly socket: string
  readonly #runBy: readonly string[]
  #child: ChildProcess | undefined
  #log = ''

  constructor(options: BrokerOptions = {}) {
    const { source = 'directory', graceMs = 2_000, more = '', runBy = [] } = options
    this.#runBy = runBy
    this.directory = mkdtempSync(
      path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'membroker-client-'),
    )
    this.socket = path.join(this.directory, 'broker.sock')
    writeFileSync(
      this.config,
      `[broker]\nsocket = "${this.socket}"\nlog_level = "info"\n` +
        `[revoke]\ngrace_ms = ${graceMs}\non_deadline = "quarantine"\n` +
        `[[range]]\nname = "main"\nsource = "${source}"\nbytes = "64MiB"\n` +
        (source === 'directory' ? `path = "${this.directory}/memory"\n` : '') +
        more,
    )
  }

  get config(): string {
    return path.join(this.directory, 'config.toml')
  }

  get pid(): number {
    return this.#child!.pid!
  }

  async start(): Promise<this> {
    const main = path.join(dist, 'src/broker/main.js')
    const [program, ...args] = [...this.#runBy, process.execPath, main, '--config', this.config]
    const child = spawn(program!, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    child.stderr!.setEncoding('utf8').on('data', text => {
      this.#log += text
    })
    this.#child = child
    await until('the broker to listen', () => {
      if (child.exitCode !== null) throw new Error(`the broker ended with ${child.exitCode}: ${this.#log}`)
      return this.#listens()
    })
    return this
  }

  /** SIGKILL, as a crash would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  /** Ends it and removes everything it left. */
  async dispose(): Promise<void> {
    await this.#end(this.#runBy.length === 0 ? 'SIGTERM' : 'SIGKILL')
    rmSync(this.directory, { recursive: true, force: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }

  #listens(): boolean {
    try {
      closeSync(connectUnix(this.socket))
      return true
    } catch {
      return false
    }
  }
}
