import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { buildProgram } from '../../guest/build'
import { packageRoot } from '../../support/package-root'
import { TestClient, until } from '../../support/test-broker'

export interface ManagerOptions {
  /** TOML. */
  config: string
  /** Whether it passes a listening socket on. Default: yes. */
  listens?: boolean
  /** For the broker, beside what the manager itself says. */
  environment?: Record<string, string>
  /** The folder of the package that is run. */
  release?: string
  /** Of the broker. Default: in the manager's folder. */
  socket?: string
  /** The manager's own program, where nothing can compile it. */
  binary?: string
}

/** A broker under manager.c, with everything that they say to each other. */
export class Manager {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'membroker-manager-'))
  readonly socket: string
  readonly configFile = path.join(this.folder, 'broker.toml')
  /** What the manager prints: manager.c tells what. */
  readonly lines: string[] = []
  log = ''
  private readonly child: ChildProcess
  private readonly clients: TestClient[] = []

  constructor(options: ManagerOptions) {
    const binary = options.binary ?? buildProgram('test/service/support/manager.c')
    if (binary === undefined)
      throw new Error('the service manager of these tests is written in C: install gcc')
    this.socket = options.socket ?? path.join(this.folder, 'broker.sock')
    this.configure(options.config)
    this.child = spawn(
      binary,
      [
        path.join(this.folder, 'notify.sock'),
        options.listens === false ? '-' : this.socket,
        ...Object.entries(options.environment ?? {}).map(([name, value]) => `${name}=${value}`),
        '--',
        process.execPath,
        path.join(options.release ?? packageRoot, 'dist/program/membrokerd.js'),
        ...['--config', this.configFile, '--socket', this.socket, '--log-level', 'debug'],
      ],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    )
    createInterface({ input: this.child.stdout! }).on('line', line => this.lines.push(line))
    this.child.stderr!.setEncoding('utf8').on('data', text => {
      this.log += text
    })
  }

  configure(text: string): void {
    writeFileSync(this.configFile, text)
  }

  say(order: string): void {
    this.child.stdin!.write(`${order}\n`)
  }

  /** What the broker has told since the last start, without the number of descriptors. */
  get told(): string[] {
    const since = this.lines.slice(this.lines.findLastIndex(line => line.startsWith('started ')))
    return since.flatMap(line => /^notify \d+ (.*)$/.exec(line)?.[1] ?? [])
  }

  get pid(): number {
    return Number(/^started (\d+)$/.exec(this.lines.findLast(line => line.startsWith('started '))!)![1])
  }

  get ownPid(): number {
    return this.child.pid!
  }

  /** The next line that begins so, after those printed until now. */
  async answer(order: string, beginning: string): Promise<string> {
    const from = this.lines.length
    this.say(order)
    const found = () => this.lines.slice(from).find(line => line.startsWith(beginning))
    await this.until(() => found() !== undefined, `'${beginning}' after '${order}'`)
    return found()!
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    await until(condition, what).catch(error => {
      throw new Error(`${error.message}\n${this.lines.join('\n')}\n${this.log.slice(-4000)}`)
    })
  }

  /** The log comes by another way than the rest, so a little earlier or later. */
  logged(wanted: RegExp): Promise<void> {
    return this.until(() => wanted.test(this.log), `in the log: ${wanted}`)
  }

  /** Returns when the broker says that it is ready. */
  async start(): Promise<void> {
    await this.answer('start', 'started ')
    await this.until(() => this.told.some(text => text.startsWith('READY=1')), 'READY=1')
  }

  /** Returns how it ended. */
  signal(number: number, ended = true): Promise<string> | undefined {
    if (ended) return this.answer(`signal ${number}`, number === 9 ? 'killed' : 'exited')
    this.say(`signal ${number}`)
    return undefined
  }

  /** It stands still, as while it reads its units again. */
  stand(still: boolean): void {
    this.child.kill(still ? 'SIGSTOP' : 'SIGCONT')
  }

  async stored(): Promise<string[]> {
    return (await this.answer('store', 'store')).split(' ').slice(1).sort()
  }

  client(): TestClient {
    const client = new TestClient(this.socket)
    this.clients.push(client)
    return client
  }

  async dispose(): Promise<void> {
    for (const client of this.clients) client.close()
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exit = new Promise(resolve => this.child.once('exit', resolve))
      this.child.stdin!.end()
      this.child.kill('SIGCONT')
      await exit
    }
    rmSync(this.folder, { recursive: true, force: true })
  }
}
