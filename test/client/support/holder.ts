import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../../support/package-root'

/**
 * A process of its own that runs a script with `broker`, connected, and `tell(value)`, and stays until it is ended or ends
 * by itself.
 */
export class Holder {
  private readonly child: ChildProcess
  private readonly lines: AsyncIterator<string>

  constructor(socket: string, script: string) {
    const code = `
      const { connect } = require(${JSON.stringify(path.join(packageRoot, 'dist/src/client/index.js'))})
      const tell = value => process.stdout.write(JSON.stringify(value) + '\\n')
      connect({ socket: ${JSON.stringify(socket)}, reconnect: { maxDelayMs: 20 } }).then(async broker => {
        ${script}
      }).catch(error => tell({ failed: error.code ?? error.stack }))`
    this.child = spawn(process.execPath, ['--expose-gc', '-e', code], {
      cwd: packageRoot,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]()
  }

  get pid(): number {
    return this.child.pid!
  }

  /** The next value it tells. */
  async next(): Promise<unknown> {
    const { done, value } = await this.lines.next()
    if (done) throw new Error('the holder ended without a word')
    const told = JSON.parse(value)
    if (told?.failed) throw new Error(`the holder failed: ${told.failed}`)
    return told
  }

  /** A line on its standard input. */
  say(line: string): void {
    this.child.stdin!.write(`${line}\n`)
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = once(this.child, 'exit')
    this.child.kill(signal)
    await ended
  }
}

/** What a script in a process of its own tells first. */
export async function outside(socket: string, script: string): Promise<unknown> {
  const holder = new Holder(socket, script)
  try {
    return await holder.next()
  } finally {
    await holder.end()
  }
}
