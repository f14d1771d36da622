import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import type { Host } from './host'

/** broker-ctl update as an operator runs it, with the kernel that comes next unless a --kernel says otherwise. */
export class UpdateCommand {
  /** What it has printed, on both streams. */
  said = ''
  private readonly child: ChildProcess

  constructor(host: Host, ...options: string[]) {
    const { image, initrd } = host.nextKernel
    const args = ['update', '--kernel', image, '--initrd', initrd, ...options]
    this.child = spawn('broker-ctl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.said += text
        host.say(text)
      })
  }

  /** Resolves at its last command, in whose place the lab replaces the kernel: the next step is kexec({ loaded: true }). */
  static async upToLast(host: Host, ...options: string[]): Promise<void> {
    const going = '/run/going'
    writeFileSync('/run/go', `touch ${going}\nexec sleep 1000000\n`)
    const command = new UpdateCommand(host, ...options, '--within', '600000', '--go', 'sh /run/go')
    await host.until(() => existsSync(going) || command.isOver, 'the update is at its last command')
    host.check(!command.isOver, 'it has not ended before')
  }

  get isOver(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** Resolves with its exit code, or the signal that ended it. */
  async ended(): Promise<number | NodeJS.Signals> {
    const { child } = this
    if (!this.isOver) await once(child, 'close')
    return child.exitCode ?? child.signalCode!
  }

  kill(): void {
    this.child.kill('SIGKILL')
  }
}
