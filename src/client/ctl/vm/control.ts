import { once } from 'node:events'
import { closeSync, constants, openSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { exitCode, Failure } from '../exit'
import { JsonLines } from './json-lines'
import type { VmRecord } from './places'
import { type StopMode, stopModes } from './schema'

/** The order to upgrade a VM, as the control socket carries it. */
export interface UpgradeRequest {
  /** The contents of the VM's file, which its user may not be able to read. */
  readonly text: string
  /** A QEMU other than the file's. */
  readonly qemu: string | undefined
  readonly dryRun: boolean
}

/**
 * The language of a runner: JSON lines on a socket in its folder. A client sends {"ask":"state"} or
 * {"ask":"stop","how":"save"} or {"ask":"resume"} or {"ask":"upgrade","text":FILE,"qemu":PROGRAM,"dryRun":false}. The runner answers
 * with any number of {"progress":TEXT}, then one {"done":OBJECT} or {"error":{"code","message"}}.
 */
interface Controlled {
  record(): VmRecord
  /** undefined: as the file says. Resolves when the VM has stopped, or rejects when the guest goes on, or stays paused. */
  stop(how: StopMode | undefined, progress: (text: string) => void): Promise<object>
  /** Resolves when the guest runs, or rejects when it stays paused. */
  resume(): Promise<object>
  /** Resolves when the guest runs in the new QEMU, or rejects when it goes on in the old one, or stays paused there. */
  upgrade(request: UpgradeRequest, progress: (text: string) => void): Promise<object>
}

/** Of linux/fcntl.h (O_PATH), with which a link is opened as itself. */
const noFollow = 0o10000000 | constants.O_NOFOLLOW
const connectionsMax = 16
const heartbeatMs = 5_000

/** @throws Error where it can't make the socket */
export async function serveControl(socket: string, controlled: Controlled): Promise<Server> {
  // If a socket is there, its runner has ended: this one holds the claim of the VM's state.
  rmSync(socket, { force: true })
  const server = createServer(connection => {
    const lines = new JsonLines(connection, {
      onMessage: request => void answer(request, lines, controlled),
      onGarbage: () => lines.close(),
      onEnd: () => {},
    })
  })
  server.maxConnections = connectionsMax
  server.listen(socket)
  await once(server, 'listening')
  return server
}

async function answer(request: Record<string, unknown>, lines: JsonLines, controlled: Controlled) {
  let progress = 'the runner is at it'
  const tell = (text: string) => {
    progress = text
    lines.send({ progress })
  }
  // A client gives up on a runner that says nothing.
  const heartbeat = setInterval(() => lines.send({ progress }), heartbeatMs)
  try {
    if (request.ask === 'state') lines.send({ done: controlled.record() })
    else if (request.ask === 'stop' && isHow(request.how)) {
      lines.send({ done: await controlled.stop(request.how, tell) })
    } else if (request.ask === 'resume') lines.send({ done: await controlled.resume() })
    else if (request.ask === 'upgrade' && isUpgrade(request)) {
      const { text, qemu, dryRun } = request
      lines.send({ done: await controlled.upgrade({ text, qemu, dryRun }, tell) })
    } else lines.send({ error: { code: 'NotUnderstood', message: 'this runner does not know that request' } })
  } catch (error) {
    const { code = 'Failed' } = error as { code?: string }
    lines.send({ error: { code, message: (error as Error).message } })
  } finally {
    clearInterval(heartbeat)
    lines.end()
  }
}

function isHow(how: unknown): how is StopMode | undefined {
  return how === undefined || stopModes.some(mode => mode === how)
}

function isUpgrade(request: object): request is UpgradeRequest {
  const { text, qemu, dryRun } = request as Record<string, unknown>
  const isNamed = qemu === undefined || typeof qemu === 'string'
  return typeof text === 'string' && typeof dryRun === 'boolean' && isNamed
}

/**
 * Asks a runner. undefined: there is no runner. The folder is the VM's user's: a link there to another socket, such as that of
 * another VM's runner, must not get the orders of whoever asks.
 * @param options quietMs: the runner must say something, even if only progress, in each such time
 * @throws Failure with the runner's words; RunnerGone: it ended before it answered; NoAnswer: it says nothing
 */
export function askRunner<T extends object>(
  socket: string,
  request: object,
  options: { quietMs: number; signal?: AbortSignal; onProgress?: (text: string) => void },
): Promise<T | undefined> {
  const { quietMs, signal, onProgress } = options
  return new Promise((resolve, reject) => {
    let place: number
    try {
      place = openSync(socket, noFollow)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return resolve(undefined)
      return reject(new Failure('NoAnswer', message, exitCode.refused))
    }
    const connection = connect(`/proc/self/fd/${place}`)
    let answered = false
    let isThere = false
    const settle = (act: () => void) => {
      if (answered) return
      answered = true
      closeSync(place)
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      connection.destroy()
      act()
    }
    const timer = setTimeout(() => {
      const message = `the runner said nothing for ${quietMs} ms`
      settle(() => reject(new Failure('NoAnswer', message, exitCode.refused)))
    }, quietMs)
    const onAbort = () =>
      settle(() => reject(new Failure('Interrupted', 'the runner goes on with it', exitCode.interrupted)))
    signal?.addEventListener('abort', onAbort)
    const lines = new JsonLines(connection, {
      onMessage: ({ progress, done, error }) => {
        timer.refresh()
        if (typeof progress === 'string') onProgress?.(progress)
        else if (done !== undefined) settle(() => resolve(done as T))
        else {
          const { code = 'Failed', message = '' } = (error ?? {}) as { code?: string; message?: string }
          settle(() => reject(new Failure(code, message, exitCode.refused)))
        }
      },
      onGarbage: () => connection.destroy(),
      onEnd: error => {
        if (answered) return
        const code = (error as NodeJS.ErrnoException | undefined)?.code
        if (!isThere && (code === 'ENOENT' || code === 'ECONNREFUSED')) settle(() => resolve(undefined))
        else if (!isThere)
          settle(() => reject(new Failure('NoAnswer', error?.message ?? 'no connection', exitCode.refused)))
        else
          settle(() =>
            reject(new Failure('RunnerGone', 'the runner ended before it answered', exitCode.refused)),
          )
      },
    })
    connection.once('connect', () => {
      isThere = true
      lines.send(request)
    })
  })
}
