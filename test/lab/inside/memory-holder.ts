import { type ChildProcess, spawn } from 'node:child_process'
import type { Host } from './host'

/** A process that got an allocation by broker-ctl exec, and holds it in ways of its own: test/lab/program/holder.c. */
export class MemoryHolder {
  readonly lines: string[] = []

  private constructor(
    private readonly host: Host,
    private readonly process: ChildProcess,
  ) {
    let rest = ''
    process.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      this.lines.push(...lines)
    })
  }

  /** Allocates, and waits until the memory is held. uid: of the process; root's when left out. */
  static async start(
    host: Host,
    name: string,
    bytes: number,
    ways: readonly string[] = [],
    uid = 0,
  ): Promise<MemoryHolder> {
    const map = ['--map', `${name}:fd=9`, '--allocate', String(bytes)]
    const child = spawn('broker-ctl', ['exec', ...map, '--', 'holder', '9', String(bytes), ...ways], {
      stdio: ['ignore', 'pipe', 'inherit'],
      uid,
    })
    const holder = new MemoryHolder(host, child)
    await holder.says(ways.includes('close') ? /^closed / : /^holding /)
    return holder
  }

  /** Of the process that has the memory: a child's, if it was to have one. */
  get pid(): number {
    return Number(this.lines.find(line => /^(holding|closed) /.test(line))!.split(' ')[1])
  }

  async says(pattern: RegExp): Promise<string> {
    const found = () => this.lines.find(line => pattern.test(line))
    await this.host.until(
      () => found() !== undefined || this.process.exitCode !== null || this.process.signalCode !== null,
      `the holder says ${pattern}`,
    )
    // Its last words may still be on their way.
    await this.host.until(
      () => found() !== undefined,
      `the holder says ${pattern}; it said ${this.lines}`,
      60_000,
    )
    return found()!
  }

  /** Resolves when the process that was started is gone, whatever it was. */
  async ended(): Promise<void> {
    const { process } = this
    await this.host.until(
      () => process.exitCode !== null || process.signalCode !== null,
      'the holder has ended',
    )
  }

  kill(): void {
    try {
      process.kill(this.pid, 'SIGKILL')
    } catch {
      // It is gone already.
    }
  }
}
