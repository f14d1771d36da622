import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

/** QEMU refused a command; code is QEMU's error class. */
class QmpError extends Error {
  constructor(
    readonly code: string,
    command: string,
    description: string,
  ) {
    super(`${command}: ${description}`)
    this.name = 'QmpError'
  }
}

interface Call {
  command: string
  resolve(result: unknown): void
  reject(error: Error): void
}

/** A message of QEMU's machine protocol: greeting, event (neither has an id) or answer. */
interface Message {
  id?: number
  return?: unknown
  error?: { class: string; desc: string }
}

const connectRetryMs = 10

/** A client of QEMU's machine protocol (QMP): JSON lines over a Unix socket. Events are ignored. */
export class Qmp {
  private readonly socket: Socket
  private readonly calls = new Map<number, Call>()
  private lastId = 0

  private constructor(socket: Socket) {
    this.socket = socket
    const lines = createInterface(socket)
    lines.on('line', line => this.take(JSON.parse(line) as Message))
    // A killed QEMU resets the connection. close follows, and says it to the callers.
    lines.on('error', () => {})
    socket.on('error', () => {})
    socket.on('close', () => {
      for (const call of this.calls.values()) call.reject(new Error(`${call.command}: QEMU is gone`))
      this.calls.clear()
    })
  }

  /** Connect to the socket of a QEMU that may still be starting. Rejects when signal ends it. */
  static async connect(path: string, signal: AbortSignal): Promise<Qmp> {
    for (;;) {
      signal.throwIfAborted()
      const socket = await open(path)
      if (socket) {
        const qmp = new Qmp(socket)
        await qmp.execute('qmp_capabilities')
        return qmp
      }
      await sleep(connectRetryMs)
    }
  }

  /** Run a command; rejects with QmpError when QEMU refuses it, with Error when QEMU ends first. */
  execute(command: string, args: object = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) return reject(new Error(`${command}: QEMU is gone`))
      const id = ++this.lastId
      this.calls.set(id, { command, resolve, reject })
      this.socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    })
  }

  close(): void {
    this.socket.destroy()
  }

  private take(message: Message): void {
    const call = message.id === undefined ? undefined : this.calls.get(message.id)
    if (message.id === undefined || !call) return
    this.calls.delete(message.id)
    if (message.error) call.reject(new QmpError(message.error.class, call.command, message.error.desc))
    else call.resolve(message.return)
  }
}

/** undefined: nobody listens there yet. */
function open(path: string): Promise<Socket | undefined> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      resolve(socket)
    })
    socket.once('error', () => resolve(undefined))
  })
}
