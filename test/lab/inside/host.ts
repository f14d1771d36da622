import { execFile } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual, promisify } from 'node:util'
import { type Broker, connect } from '../../../src/client'
import type { Share } from '../share'
import { BrokerProcess } from './broker-process'

const run = promisify(execFile)
const outputBytesMax = 2 ** 26

export const brokerConfiguration = '/run/broker.toml'
export const brokerSocket = '/run/membroker/broker.sock'

/** The machine a stage runs on, as the stage sees it. */
export class Host {
  /** What the stage measured, for the report. */
  readonly figures: Record<string, number> = {}
  private readonly share: Share
  private readonly memory: Record<string, unknown>

  constructor(share: Share, memory: Record<string, unknown>) {
    this.share = share
    this.memory = memory
  }

  /** Files of the kernel that a kexec goes into, where a step names none. */
  get nextKernel(): { image: string; initrd: string } {
    const folder = this.share.at(`kernel/${this.share.state.into}`)
    return { image: `${folder}/vmlinuz`, initrd: `${folder}/initrd` }
  }

  /** For whoever watches the run. */
  say(text: string): void {
    this.share.say(text.trimEnd().replaceAll(/^/gm, '    '))
  }

  measure(name: string, value: number): void {
    this.figures[name] = value
  }

  /** @throws Error with this text when it does not hold */
  check(holds: boolean, what: string): asserts holds {
    if (!holds) throw new Error(`not so: ${what}`)
  }

  /** @throws Error that shows both when they are not the same as JSON */
  same(actual: unknown, expected: unknown, what: string): void {
    const [is, ought] = [actual, expected].map(value => JSON.stringify(value) ?? 'null')
    if (!isDeepStrictEqual(JSON.parse(is!), JSON.parse(ought!)))
      throw new Error(`${what}: it is ${is}, and should be ${ought}`)
  }

  /** Keep a value, as JSON, for later stages. */
  remember(name: string, value: unknown): void {
    this.memory[name] = value
  }

  /** @throws Error when no stage remembered it */
  recall<T>(name: string): T {
    if (!(name in this.memory)) throw new Error(`no stage remembered ${name}`)
    return this.memory[name] as T
  }

  /** A file that survives kexec and is there for whoever looks at the run afterwards. */
  file(name: string): string {
    return this.share.at(name)
  }

  /** Milliseconds by which the clock outside is ahead: each kernel reads its own from a clock that has whole seconds. */
  clockBehindMs(): number {
    const file = this.file('clock')
    writeFileSync(file, '')
    return statSync(file).mtimeMs - Date.now()
  }

  /** A shell command; returns what it printed. @throws Error with its complaints when it fails */
  async sh(script: string): Promise<string> {
    return (await this.exec('sh', ['-c', script])).trimEnd()
  }

  /** broker-ctl; returns what it printed. */
  ctl(...args: string[]): Promise<string> {
    return this.exec('broker-ctl', args)
  }

  async exec(file: string, args: readonly string[]): Promise<string> {
    try {
      return (await run(file, args, { maxBuffer: outputBytesMax })).stdout
    } catch (error) {
      const { code, signal, stderr, stdout } = error as Error & Record<string, unknown>
      throw new Error(`${file} ${args.join(' ')}: ${signal ?? code}\n${stderr}${stdout}`)
    }
  }

  /** Make an empty table in a range of this configuration (TOML), as an operator does with memory that is new. */
  async format(config: string, range: string): Promise<void> {
    writeFileSync(brokerConfiguration, config)
    await this.exec('membrokerd', [
      '--config',
      brokerConfiguration,
      '--socket',
      brokerSocket,
      '--format',
      range,
    ])
  }

  /** A broker on this configuration (TOML); its log is a file of the run. */
  broker(config: string, options: { socket?: string; logLevel?: string } = {}): Promise<BrokerProcess> {
    const { socket = brokerSocket, logLevel = 'debug' } = options
    writeFileSync(brokerConfiguration, config)
    const args = ['--config', brokerConfiguration, '--socket', socket, '--log-level', logLevel]
    return BrokerProcess.start(args, this.file('broker.log'))
  }

  connect(): Promise<Broker> {
    return connect({ socket: brokerSocket })
  }

  /** Waits until it holds; a bound on hanging, not on speed. */
  async until(holds: () => boolean | Promise<boolean>, what: string, boundMs = 300_000): Promise<void> {
    const deadline = performance.now() + boundMs
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`never came: ${what}`)
      await sleep(50)
    }
  }

  /** Text of a file in /proc or /sys. */
  read(file: string): string {
    return readFileSync(file, 'utf8').trimEnd()
  }
}
