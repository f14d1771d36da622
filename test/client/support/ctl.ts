import { type ChildProcess, spawn } from 'node:child_process'
import path from 'node:path'
import { dist } from './root'

export const ctlMain = path.join(dist, 'src/client/ctl/main.js')

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
): { child: ChildProcess; outcome: Promise<Outcome> } {
  const env = { ...process.env, MEMBROKER_SOCKET: socket, NO_COLOR: '1' }
  const child = spawn(process.execPath, [ctlMain, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const outcome = new Promise<Outcome>(resolve => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
  return { child, outcome }
}

export function ctl(socket: string, ...args: string[]): Promise<Outcome> {
  return startCtl(socket, args).outcome
}
