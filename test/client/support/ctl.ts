import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { packageRoot } from '../../support/package-root'

export const ctlMain = path.join(packageRoot, 'dist/program/broker-ctl.js')

export interface Outcome {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** broker-ctl in a process of its own. */
export function startCtl(
  socket: string,
  args: readonly string[],
  more: NodeJS.ProcessEnv = {},
  launcher: readonly string[] = [],
): { child: ChildProcess; outcome: Promise<Outcome> } {
  const env = { ...process.env, MEMBROKER_SOCKET: socket, NO_COLOR: '1', ...more }
  const [file, ...rest] = [...launcher, process.execPath, ctlMain, ...args] as [string, ...string[]]
  const child = spawn(file, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  return { child, outcome: outcomeOf(child) }
}

/** What a process wrote, and how it ended. */
export function outcomeOf(child: ChildProcessByStdio<null, Readable, Readable>): Promise<Outcome> {
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  return new Promise(resolve => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
}

export function ctl(socket: string, ...args: string[]): Promise<Outcome> {
  return startCtl(socket, args).outcome
}
