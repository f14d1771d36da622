import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Qmp } from '../../src/client/ctl/vm/qmp'
import { ctlMain, type Outcome } from '../client/support/ctl'
import { counterAddress, counterFirmware } from '../guest/counter-guest'
import { TestBroker, type TestBrokerOptions, until } from '../support/test-broker'

export interface VmFileParts {
  /** More of [vm]. */
  vm?: string
  /** Instead of one memory of 64 MiB. */
  memory?: string
  /** More tables. */
  more?: string
  /** More arguments of QEMU. */
  arguments?: readonly string[]
  /** Instead of the machine type. */
  machine?: string
}

/** A broker, a folder of VM files, and runners. */
export class Scene {
  readonly folder = mkdtempSync('/tmp/mbv-')
  readonly runs: Run[] = []
  /** A command that runs the rest of its arguments: each runner is started by it. */
  launcher: readonly string[] = []

  private constructor(readonly broker: TestBroker) {
    mkdirSync(this.directory)
    writeFileSync(this.firmware, counterFirmware())
  }

  static async open(options: TestBrokerOptions = {}): Promise<Scene> {
    return new Scene(await TestBroker.start(options))
  }

  get directory(): string {
    return path.join(this.folder, 'vm')
  }

  get runtime(): string {
    return path.join(this.folder, 'run')
  }

  get firmware(): string {
    return path.join(this.folder, 'firmware')
  }

  get environment(): NodeJS.ProcessEnv {
    const { NOTIFY_SOCKET: _, ...environment } = process.env
    return {
      ...environment,
      MEMBROKER_SOCKET: this.broker.socket,
      MEMBROKER_VM_DIRECTORY: this.directory,
      MEMBROKER_VM_RUNTIME: this.runtime,
      NO_COLOR: '1',
    }
  }

  /** The file of a VM with the counting guest. */
  write(name: string, parts: VmFileParts = {}): string {
    const { vm = '', memory = '[[memory]]\nbytes = "64MiB"\n', more = '', machine = 'pc' } = parts
    const args = [
      ...['-machine', machine, '-accel', 'tcg', '-nodefaults', '-no-user-config', '-display', 'none'],
      // Without a BIOS nobody routes the timer through the APIC; without an APIC it needs no routing.
      ...['-cpu', 'qemu64,apic=off', '-bios', this.firmware, '-serial', 'stdio'],
      ...(parts.arguments ?? []),
    ]
    const file = path.join(this.directory, `${name}.toml`)
    writeFileSync(file, `[vm]\narguments = ${JSON.stringify(args)}\n${vm}\n${memory}\n${more}`)
    return file
  }

  run(name: string, ...options: string[]): Run {
    const run = new Run(this.environment, ['vm', 'run', name, ...options], this.launcher)
    this.runs.push(run)
    return run
  }

  /** A VM that counts, and whose runner has said how it came to that. */
  async counting(name: string, ...options: string[]): Promise<Run> {
    const run = this.run(name, ...options)
    await run.counts(5)
    await run.says(/the guest (boots|goes on)/)
    return run
  }

  /** A VM whose guest has counted, and is saved. */
  async saved(name: string, parts?: VmFileParts): Promise<void> {
    this.write(name, parts)
    const run = await this.counting(name)
    expect(await this.stop(name, '--save')).toMatchObject({ code: 0 })
    expect(await run.outcome).toMatchObject({ code: 0 })
  }

  /** A run that goes on from the count in memory. */
  async goesOn(name: string, ...options: string[]): Promise<Run> {
    const left = await this.counter(name)
    const run = await this.counting(name, ...options)
    expect(run.stderr).toContain('the guest goes on')
    expect([left, left + 1]).toContain(run.counters[0])
    expectGapless(run.counters)
    return run
  }

  /** A run of a guest that was saved while it was paused: it is paused, and goes on from the count in memory once it may. */
  async staysPaused(name: string): Promise<void> {
    const left = await this.counter(name)
    const run = this.run(name)
    await run.says(/was paused when it was saved, and stays paused/)
    const qmp = await this.monitor()
    await qmp.execute('cont')
    qmp.close()
    await run.counts(5)
    expect([left, left + 1]).toContain(run.counters[0])
  }

  /** A program in the scene's folder. */
  program(name: string, text: string): string {
    const file = path.join(this.folder, name)
    writeFileSync(file, text)
    chmodSync(file, 0o755)
    return file
  }

  /** QEMU's arguments for a monitor of its owner's. */
  get monitorArguments(): string[] {
    return ['-qmp', `unix:${this.monitorPath},server=on,wait=off`]
  }

  /** The connection to it. */
  monitor(): Promise<Qmp> {
    return Qmp.open(connect(this.monitorPath), 60_000, 60_000)
  }

  private get monitorPath(): string {
    return path.join(this.folder, 'monitor')
  }

  /** Any verb, to its end. */
  async ctl(...args: string[]): Promise<Outcome> {
    const run = new Run(this.environment, args)
    this.runs.push(run)
    return run.outcome
  }

  async list(): Promise<Array<Record<string, unknown>>> {
    const { stdout, stderr, code } = await this.ctl('vm', 'list', '--json')
    if (code !== 0) throw new Error(stderr)
    return JSON.parse(stdout)
  }

  /** What the list says of a VM. */
  async vm(name: string): Promise<Record<string, unknown>> {
    return (await this.list()).find(vm => vm.name === name)!
  }

  async state(name: string): Promise<unknown> {
    return (await this.vm(name)).state
  }

  stop(name: string, ...options: string[]): Promise<Outcome> {
    return this.ctl('vm', 'stop', name, ...options)
  }

  /** Files of allocations in the broker's directory, by the allocation's name. */
  async file(allocation: string): Promise<string> {
    const client = this.broker.client()
    const { allocation: info } = await client.call('GetAllocation', { name: allocation })
    client.close()
    return path.join(this.broker.directory, `alloc-${info.id}`)
  }

  /** The guest's counter, in its memory. */
  async counter(name: string): Promise<number> {
    return readFileSync(await this.file(`${name}/ram`)).readUInt32LE(counterAddress)
  }

  async dispose(): Promise<void> {
    await Promise.all(this.runs.map(run => run.kill()))
    await this.broker.dispose()
    rmSync(this.folder, { recursive: true })
  }
}

/** A process of broker-ctl whose output is read. */
export class Run {
  readonly outcome: Promise<Outcome>
  private readonly child: ChildProcess
  stdout = ''
  stderr = ''

  constructor(env: NodeJS.ProcessEnv, args: readonly string[], launcher: readonly string[] = []) {
    const [file, ...rest] = [...launcher, process.execPath, ctlMain, ...args] as [string, ...string[]]
    const child = spawn(file, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.child = child
    child.stdout.setEncoding('utf8').on('data', text => {
      this.stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      this.stderr += text
    })
    this.outcome = new Promise(resolve => {
      child.on('close', (code, signal) => resolve({ code, signal, stdout: this.stdout, stderr: this.stderr }))
    })
  }

  get pid(): number {
    return this.child.pid!
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** All counters that the guest printed, in order. */
  get counters(): number[] {
    return [...this.stdout.matchAll(/^counter (\d+)\r?\n/gm)].map(([, text]) => Number(text))
  }

  /** Waits until the guest has counted so many times in this run. */
  async counts(times: number): Promise<void> {
    await this.until(() => this.counters.length >= times, `${times} counts`)
  }

  /** It counts on, in this run. */
  async countsOn(): Promise<void> {
    await this.counts(this.counters.length + 10)
    expectGapless(this.counters)
  }

  async says(text: RegExp): Promise<void> {
    await this.until(() => text.test(this.stderr), String(text))
  }

  /** On its serial port. */
  async guestSays(text: RegExp): Promise<void> {
    await this.until(() => text.test(this.stdout), String(text))
  }

  /** From now on nobody reads its standard error. */
  deafen(): void {
    this.child.stderr!.destroy()
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name)
  }

  /** SIGKILL, and the end of what it wrote. */
  async kill(): Promise<Outcome> {
    if (!this.ended) this.child.kill('SIGKILL')
    return this.outcome
  }

  private async until(condition: () => boolean, what: string): Promise<void> {
    try {
      await until(() => condition() || this.ended, what)
    } catch (error) {
      throw this.error((error as Error).message)
    }
    if (!condition()) throw this.error(`it ended before ${what}`)
  }

  private error(message: string): Error {
    return new Error(`${message}; it said ${this.stderr}\nand ${this.stdout.slice(-300)}`)
  }
}

/** Lines of QEMU's own monitor, by which a guest of the type "pc" falls asleep (S3). The first four are for its power management's ports. */
export const fallAsleep = [
  'o /w 0xcf8 0x80000b40',
  'o /w 0xcfc 0x601',
  'o /w 0xcf8 0x80000b80',
  'o /w 0xcfc 0x1',
  'o /h 0x604 0x2400',
] as const

/** Each one more than the one before. */
export function expectGapless(counters: readonly number[]): void {
  expect(counters).toEqual(counters.map((_, index) => counters[0]! + index))
}

export async function gone(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) await sleep(5)
}
