import { BrokerError, toBrokerError } from './errors'
import type { Link } from './link'
import type { In, Out } from './reply'
import { warn } from './warning'
import { mayComeBack } from './watch'

/** What a participant is asked to prepare for. */
export interface UpdateNotice {
  /** Its number. */
  readonly id: number
  readonly reason: string
  /** How long the update waits, in milliseconds from when it was asked. */
  readonly deadlineMs: number
  /** Aborts when the update is called off while prepare() is still at work. */
  readonly signal: AbortSignal
}

export interface ParticipateOptions {
  /** For people: who is ready, who is late. At most 255 bytes of UTF-8 without control characters. */
  name: string
  /**
   * Pauses and saves. When it resolves, the library answers `ready`, with the resolved text for people. When it throws or rejects,
   * the library answers `failed`, with the message; and, if the error has `staysPaused: true`, that the participant can't go on.
   * Called once for each update, also if the broker restarts meanwhile.
   */
  prepare(update: UpdateNotice): unknown
  /** Goes on: the update is called off. The library calls it after prepare() is done, and only if it called that. */
  cancelled?(update: { readonly id: number; readonly reason: string }): void | Promise<void>
  /**
   * Called with false when the participation's connection ends: nobody would tell it that an update is over. With true when the
   * broker knows of it, at first and again. It has a connection of its own, so 'disconnected' of the broker object is another matter.
   */
  reachable?(isReachable: boolean): void
  /** Ends the participation. */
  signal?: AbortSignal | undefined
}

/** Made by Broker.participate(). */
export interface Participation {
  /** Resolves when the participation is over, by its signal or by close() of the broker object. Rejects if the broker refused it. */
  readonly done: Promise<void>
  /** Resolves when the broker knows of it for the first time. Rejects with `done`. */
  readonly joined: Promise<void>
  /**
   * Takes `ready` back, for example because the saved state is lost: the library answers `failed` with this reason. Does nothing if
   * the last answer is not `ready`, or the update is over.
   */
  fail(reason: string): void
  /** Like fail(). Then the library calls prepare() once more, and answers with its outcome. */
  prepareAgain(reason: string): void
  /** Resolves when prepare() is not at work, and the broker has its answer or can't have it. */
  answered(): Promise<void>
}

type Message = Out<'JoinUpdates'>

interface Preparing {
  readonly id: number
  readonly notice: Omit<UpdateNotice, 'signal'>
  /** Its number at the broker that asked last. */
  participant: number
  readonly abort: AbortController
  wasAsked: boolean
  /** undefined: still at work. */
  outcome: Omit<In<'AnswerUpdate'>, 'participant' | 'update'> | undefined
  readonly work: Promise<void>
}

const detailBytesMax = 512

/** See Broker.participate(). */
export function participate(link: Link, options: ParticipateOptions): Participation {
  let onJoined: () => void = () => {}
  let onRefused: (error: unknown) => void = () => {}
  const joined = new Promise<void>((resolve, reject) => {
    onJoined = resolve
    onRefused = reject
  })
  // Nobody may be waiting; those who do get the rejection from their own await.
  joined.catch(() => {})
  const participant = new Participant(link, options, onJoined)
  const done = participant.run()
  done.then(onJoined, onRefused)
  return {
    done,
    joined,
    fail: reason => void participant.fail(reason),
    prepareAgain: reason => participant.prepareAgain(reason),
    answered: () => participant.answered(),
  }
}

class Participant {
  private preparing: Preparing | undefined
  private isReachable = false
  /** Handlers run one after the other, in the order of the broker's messages. */
  private handlers: Promise<void> = Promise.resolve()
  private answering: Promise<void> = Promise.resolve()

  constructor(
    private readonly link: Link,
    private readonly options: ParticipateOptions,
    private readonly onJoined: () => void,
  ) {}

  async run(): Promise<void> {
    const { name, signal } = this.options
    for (let failures = 0; ; failures++) {
      try {
        for await (const { out } of this.link.replies('JoinUpdates', { name }, signal)) {
          failures = 0
          this.heard(out)
        }
      } catch (error) {
        if (this.isOver) return
        if (!mayComeBack(error) && !isAway(error)) throw toBrokerError(error, 'JoinUpdates')
      }
      this.setReachable(false)
      try {
        await this.link.pause(failures, signal)
      } catch (error) {
        if (this.isOver) return
        throw error
      }
    }
  }

  /** Takes ready back. Returns whether there was one. */
  fail(reason: string): boolean {
    const { preparing } = this
    if (this.isOver || preparing?.outcome?.outcome !== 'ready') return false
    preparing.outcome = { outcome: 'failed', detail: lineOf(reason) }
    this.answer(preparing)
    return true
  }

  prepareAgain(reason: string): void {
    const { preparing } = this
    if (preparing && this.fail(reason)) this.prepareFor(this.begin(preparing.participant, preparing.notice))
  }

  async answered(): Promise<void> {
    await this.preparing?.work
    await this.answering
  }

  private setReachable(isReachable: boolean): void {
    if (this.isReachable === isReachable) return
    this.isReachable = isReachable
    this.options.reachable?.(isReachable)
  }

  private get isOver(): boolean {
    return this.link.closed || this.options.signal?.aborted === true
  }

  private heard(message: Message): void {
    const { kind, participant, update } = message
    this.onJoined()
    this.setReachable(true)
    const preparing = this.preparing
    // While the connection was broken, an update may have ended, and another begun.
    if (preparing && preparing.id !== update)
      this.end(preparing, 'it was called off while the broker was away')
    if (kind === 'cancel' && preparing?.id === update) this.end(preparing!, message.reason ?? '')
    if (kind === 'prepare' && typeof update === 'number') this.prepare(participant, update, message)
  }

  private prepare(participant: number, id: number, { reason, deadlineMs }: Message): void {
    const notice = { id, reason: reason ?? '', deadlineMs: deadlineMs ?? 0 }
    const preparing = this.preparing ?? this.begin(participant, notice)
    preparing.participant = participant
    this.prepareFor(preparing)
  }

  private prepareFor(preparing: Preparing): void {
    this.preparing = preparing
    preparing.work.then(() => this.answer(preparing))
  }

  private begin(participant: number, notice: Omit<UpdateNotice, 'signal'>): Preparing {
    const abort = new AbortController()
    const work = this.handlers.then(async () => {
      try {
        if (abort.signal.aborted) return
        preparing.wasAsked = true
        const detail = await this.options.prepare({ ...notice, signal: abort.signal })
        preparing.outcome = {
          outcome: 'ready',
          ...(typeof detail === 'string' && { detail: lineOf(detail) }),
        }
      } catch (error) {
        const detail = lineOf(error instanceof Error ? error.message : String(error))
        const { staysPaused } = (error ?? {}) as { staysPaused?: unknown }
        preparing.outcome = { outcome: 'failed', detail, ...(staysPaused === true && { staysPaused }) }
      }
    })
    this.handlers = work
    const { id } = notice
    const state = { wasAsked: false, outcome: undefined }
    const preparing: Preparing = { id, notice, participant, abort, ...state, work }
    return preparing
  }

  private end(preparing: Preparing, reason: string): void {
    this.preparing = undefined
    if (!preparing.outcome) preparing.abort.abort()
    this.handlers = preparing.work.then(async () => {
      try {
        if (preparing.wasAsked) await this.options.cancelled?.({ id: preparing.id, reason })
      } catch (error) {
        warn(error)
      }
    })
  }

  /** If the broker needs another answer, its next prepare asks for it. */
  private answer(preparing: Preparing): void {
    const { id: update, participant, outcome } = preparing
    if (this.preparing !== preparing || !outcome) return
    this.answering = this.link.call('AnswerUpdate', { participant, update, ...outcome }).then(
      () => {},
      error => {
        if (this.link.closed) return
        const passed =
          error instanceof BrokerError &&
          ['NotFound', 'ConnectionLost', 'BrokerUnreachable'].includes(error.code)
        if (!passed) warn(error)
      },
    )
  }
}

/** A broker that stays away for longer than calls wait for it may come back all the same. */
function isAway(error: unknown): boolean {
  return error instanceof BrokerError && error.code === 'BrokerUnreachable'
}

/** As the broker takes it. */
export function lineOf(text: string, bytesMax = detailBytesMax): string {
  const line = text
    .toWellFormed()
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffd]+/g, ' ')
  return Buffer.from(line)
    .subarray(0, bytesMax)
    .toString()
    .replace(/\ufffd+$/, '')
}
