import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { printable } from '../table'
import { JsonLines } from './json-lines'

/** QEMU refused a command, did not answer it in time, or is gone. The message names the command. */
export class QmpError extends Error {
  override readonly name = 'QmpError'
  /** refused: QEMU answered, so everything else is known. unsent: QEMU never got it. lost: QEMU may have carried it out. */
  readonly kind: 'refused' | 'unsent' | 'lost'
  readonly code: 'QemuRefused' | 'QemuSilent' | 'QemuEnded'

  /** @param hasEnded QEMU is gone */
  constructor(kind: QmpError['kind'], message: string, hasEnded = false) {
    super(message)
    this.kind = kind
    this.code = kind === 'refused' ? 'QemuRefused' : hasEnded ? 'QemuEnded' : 'QemuSilent'
  }
}

interface QmpEvents {
  /** An event of QEMU's, by its name; at: QEMU's clock, in milliseconds since the Unix epoch. */
  event: [name: string, data: Record<string, unknown>, at: number]
  /** A line outside the protocol; Qmp skips it. */
  garbage: [text: string]
  end: [error: Error | undefined]
}

interface Call {
  readonly command: string
  resolve(result: unknown): void
  reject(error: QmpError): void
}

/** A client of QEMU's machine protocol: JSON lines over a stream. Every command has a deadline. */
export class Qmp extends EventEmitter<QmpEvents> {
  private readonly lines: JsonLines
  private readonly calls = new Map<number, Call>()
  private readonly answerMs: number
  private lastId = 0
  private ended: string | undefined
  private greet: (() => void) | undefined

  private constructor(stream: Duplex, answerMs: number) {
    super()
    this.answerMs = answerMs
    this.lines = new JsonLines(stream, {
      onMessage: message => this.take(message),
      onGarbage: text => this.emit('garbage', text),
      onEnd: error => this.end(error),
    })
  }

  /**
   * Waits for QEMU's greeting and negotiates the capabilities. Adopts the stream.
   * @param answerMs the time for an answer
   * @throws QmpError
   */
  static async open(stream: Duplex, greetingMs: number, answerMs: number): Promise<Qmp> {
    const qmp = new Qmp(stream, answerMs)
    try {
      await qmp.greeting(greetingMs)
      await qmp.execute('qmp_capabilities')
      return qmp
    } catch (error) {
      qmp.close()
      throw error
    }
  }

  /** Returns QEMU's answer. @throws QmpError */
  execute(command: string, args?: object, answerMs = this.answerMs): Promise<unknown> {
    return this.within(answerMs, command, (resolve, reject) => {
      const id = ++this.lastId
      this.calls.set(id, { command, resolve, reject })
      this.lines.send({ execute: command, arguments: args, id })
      return () => this.calls.delete(id)
    })
  }

  /** Idempotent. Commands under way reject. */
  close(): void {
    this.lines.close()
  }

  private greeting(ms: number): Promise<unknown> {
    return this.within(ms, 'the greeting', (resolve, reject) => {
      this.calls.set(0, { command: 'the greeting', resolve, reject })
      this.greet = () => resolve(undefined)
      return () => this.calls.delete(0)
    })
  }

  private within(
    ms: number,
    what: string,
    start: (resolve: (value: unknown) => void, reject: (error: QmpError) => void) => () => void,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.ended !== undefined) {
        reject(new QmpError('unsent', `${what}: ${this.ended}`, true))
        return
      }
      const timer = setTimeout(() => {
        forget()
        reject(new QmpError('lost', `${what}: QEMU did not answer within ${ms} ms`))
      }, ms)
      const forget = start(
        value => {
          clearTimeout(timer)
          resolve(value)
        },
        error => {
          clearTimeout(timer)
          reject(error)
        },
      )
    })
  }

  private take(message: Record<string, unknown>): void {
    if ('QMP' in message) {
      this.greet?.()
      this.calls.delete(0)
      return
    }
    if (typeof message.event === 'string') {
      const { data } = message
      const given = typeof data === 'object' && data !== null ? { ...data } : {}
      this.emit('event', message.event, given, clockOf(message))
      return
    }
    const call = this.calls.get(Number(message.id))
    if (!call || !('return' in message || 'error' in message)) {
      this.emit('garbage', JSON.stringify(message).slice(0, 200))
      return
    }
    this.calls.delete(Number(message.id))
    if ('return' in message) call.resolve(message.return)
    else call.reject(new QmpError('refused', `${call.command}: ${description(message.error)}`))
  }

  private end(error: Error | undefined): void {
    this.ended = error === undefined ? 'QEMU is gone' : `QEMU is gone (${error.message})`
    for (const { command, reject } of this.calls.values())
      reject(new QmpError('lost', `${command}: ${this.ended}`, true))
    this.calls.clear()
    this.emit('end', error)
  }
}

/** Of an event. */
function clockOf({ timestamp }: Record<string, unknown>): number {
  const { seconds, microseconds } = (timestamp ?? {}) as { seconds?: unknown; microseconds?: unknown }
  if (typeof seconds !== 'number' || typeof microseconds !== 'number') return Date.now()
  return seconds * 1000 + microseconds / 1000
}

function description(error: unknown): string {
  const { desc } = (error ?? {}) as { desc?: unknown }
  return typeof desc === 'string' ? printable(desc) : `QEMU refuses, and says ${JSON.stringify(error)}`
}
