import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { buildProgram } from '../guest/build'

/** A process that keeps the inode's lock of a file until end(): stuck-inode-lock.c explains how. */
export class StuckInodeLock {
  private constructor(private readonly child: ChildProcess) {}

  /** On the file of a descriptor of another process, which may then close it. built: where nothing can compile it. */
  static async start(
    file: { uid: number; pid: number; fd: number },
    built?: string,
  ): Promise<StuckInodeLock> {
    const binary = built ?? buildProgram('test/program/stuck-inode-lock.c')
    if (binary === undefined) throw new Error('the attacks are written in C: install gcc')
    const words = [file.uid, file.pid, file.fd].map(String)
    const child = spawn(binary, words, { stdio: ['pipe', 'pipe', 'inherit'] })
    const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string]
    if (line !== 'ready') throw new Error(`stuck-inode-lock: ${line}`)
    return new StuckInodeLock(child)
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exit = once(this.child, 'exit')
    this.child.stdin!.end()
    await exit
  }
}
