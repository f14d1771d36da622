import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { launcherFile, native, Socket, SystemError } from '../../../../native'
import { Broker } from '../../index'
import { chooseSocket } from '../../socket-path'

/** The descriptor by which a launcher gets its orders. */
const controlFd = 4
const answerBytes = 4
/** As native/src/launcher_main.cc has them. */
const orders = { connect: 1, become: 2 } as const

/** A descriptor, and its number in another process. */
export interface Inherited {
  readonly from: number
  readonly to: number
}

export interface BrokerAddress {
  /** undefined: the broker that the library chooses. */
  readonly socket: string | undefined
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

interface Answer {
  readonly resolve: (fd: number) => void
  readonly reject: (error: Error) => void
}

/**
 * A child that becomes a program when this process says so. Until then it connects to brokers for this process: what is claimed
 * through such a connection is claimed by the child, and so by the program. The kernel kills it when this process ends, in
 * whatever way. It has a session of its own, so a signal from a terminal (Ctrl-C) reaches this process alone.
 */
export class Launcher {
  readonly child: ChildProcess
  private readonly control: InstanceType<typeof Socket>
  private readonly expected: Answer[] = []
  private readonly received: number[] = []
  private unread = Buffer.alloc(0)
  private ended = false

  /** @param stdio the program's descriptors, as for spawn(); controlFd is not among them */
  constructor(stdio: ReadonlyArray<'ignore' | 'inherit' | 'pipe' | number>) {
    const [own, theirs] = native.socketPair()
    this.control = new Socket(own, {
      onData: (bytes, fds) => this.hear(bytes, fds),
      onEnd: () => this.end(),
      onDrain: () => {},
    })
    try {
      const all = [...stdio]
      while (all.length <= controlFd) all.push('ignore')
      all[controlFd] = theirs
      this.child = spawn(launcherFile(), [String(controlFd)], { stdio: all, detached: true })
      // Without a child the socket ends, which says it to whoever waits.
      this.child.on('error', () => {})
    } catch (error) {
      this.control.close()
      throw error
    } finally {
      closeSync(theirs)
    }
  }

  /** A broker that takes the child for the caller. @throws BrokerError */
  broker({ socket = chooseSocket().path, timeoutMs, signal }: BrokerAddress): Promise<Broker> {
    return Broker.open(socket, { timeoutMs }, signal, path => this.connect(path))
  }

  /**
   * Lets the child become a program. Where it can't, it ends like a shell that can't, and says why on its standard error.
   * @param variable one more of the environment, NAME=VALUE
   * @param fds copied for the program
   */
  become(file: string, argv: readonly string[], variable: string, fds: readonly Inherited[]): void {
    const numbers = Buffer.alloc(4 * (1 + fds.length))
    for (const [index, number] of [fds.length, ...fds.map(({ to }) => to)].entries())
      numbers.writeUInt32LE(number, 4 * index)
    const texts = [variable, file, ...argv].map(text => `${text}\0`).join('')
    const copies: number[] = []
    try {
      for (const { from } of fds) copies.push(native.dupFd(from))
    } catch (error) {
      for (const copy of copies) closeSync(copy)
      throw error
    }
    this.order(orders.become, Buffer.concat([numbers, Buffer.from(texts)]), copies)
  }

  /** Resolves when it has ended. */
  async kill(): Promise<void> {
    const { child } = this
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  /** This process does not live for it any more. Whoever waits for an answer learns of its end. */
  abandon(): void {
    for (const one of [this.child, ...this.child.stdio])
      if (one && 'unref' in one) (one as ChildProcess).unref()
    this.control.close()
    this.end()
  }

  private connect(path: string): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(gone())
      this.expected.push({ resolve, reject })
      this.order(orders.connect, Buffer.from(path), [])
    })
  }

  private order(order: number, body: Buffer, fds: number[]): void {
    const head = Buffer.alloc(8)
    head.writeUInt32LE(body.length, 0)
    head.writeUInt32LE(order, 4)
    // Where the child has ended, the end of the socket says so.
    this.control.send(Buffer.concat([head, body]), fds)
  }

  private hear(bytes: Buffer, fds: number[]): void {
    this.received.push(...fds)
    this.unread = Buffer.concat([this.unread, bytes])
    while (this.unread.length >= answerBytes) {
      const status = this.unread.readInt32LE(0)
      this.unread = this.unread.subarray(answerBytes)
      const { resolve, reject } = this.expected.shift()!
      if (status < 0) reject(new SystemError('connect', status))
      else resolve(this.received.shift()!)
    }
  }

  /** The child has become the program, or has ended. */
  private end(): void {
    this.ended = true
    for (const fd of this.received.splice(0)) closeSync(fd)
    for (const { reject } of this.expected.splice(0)) reject(gone())
  }
}

function gone(): Error {
  return new Error('the process that starts QEMU has ended')
}
