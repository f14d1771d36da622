import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { readGrowing } from './growing-file'

/** The broker as installed in the lab, as a process of its own. Its log is a file of the shared folder. */
export class BrokerProcess {
  private constructor(
    readonly process: ChildProcess,
    readonly logFile: string,
    /** From the start of the process until it served. */
    readonly readyMs: number,
  ) {}

  /** Resolves when the broker serves. @throws Error with the end of its log when it ends before that */
  static async start(args: readonly string[], logFile: string, timeoutMs = 300_000): Promise<BrokerProcess> {
    const from = performance.now()
    const log = openSync(logFile, 'a')
    const before = readGrowing(logFile).length
    const child = spawn('membrokerd', args, { stdio: ['ignore', log, log] })
    closeSync(log)
    const written = () => readGrowing(logFile).subarray(before).toString('utf8')
    let ended: string | undefined
    child.once('error', error => {
      ended = error.message
    })
    child.once('exit', (code, signal) => {
      ended = `it ended (${signal ?? code})`
    })
    while (!written().includes('"msg":"ready"')) {
      if (performance.now() - from > timeoutMs) {
        child.kill('SIGKILL')
        ended ??= `it was not ready in ${timeoutMs} ms`
      }
      if (ended !== undefined)
        throw new Error(`the broker did not start: ${ended}\n${written().slice(-4000)}`)
      await sleep(20)
    }
    return new BrokerProcess(child, logFile, performance.now() - from)
  }

  /** End it and wait for its end; the memory stays. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals> {
    const { process } = this
    if (process.exitCode === null && process.signalCode === null) {
      const exit = once(process, 'exit')
      process.kill(signal)
      await exit
    }
    return process.exitCode ?? process.signalCode!
  }
}
