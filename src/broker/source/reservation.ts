import { MiB } from '../../../protocol/units'
import type { Call } from '../../../protocol/wire/responder'
import { SourceError } from '../failure'
import { type FileWork, punchOut } from './file-work'

/** The kernel clears so many bytes within some hundredths of a second. */
const pieceBytesMin = 64 * MiB
/** The broker reserves so many pieces at once, each for another owner. */
const runningMax = 2
/** A piece that takes longer gives up its place: somebody may keep the file locked. */
const slowMs = 1000
/** After so many turns of others a request no longer waits behind them. */
const passedOverMax = 16

interface Request {
  uid: number
  fd: number
  offset: number
  length: number
  /** Bytes that are reserved already. */
  done: number
  /** The broker has promised it memory for all of its bytes. */
  admitted: boolean
  /** How often others had their turn because the broker did not know whether there is memory for it. */
  passedOver: number
  call: Pick<Call, 'ended'> | undefined
  resolve(): void
  reject(error: unknown): void
}

/**
 * Reserves the memory of a source's files in advance, in pieces and in turns by owner, so that a small request does not
 * wait for somebody's large ones. A request begins only when there is memory for it beside the promised memory of others:
 * a request that must fail takes nothing away from one that could succeed.
 */
export class Reservations {
  /** By owner, in the order of their turns. */
  private readonly waiting = new Map<number, Request[]>()
  private readonly running = new Set<number>()
  /** Owners whose piece keeps a place, and the bytes of that piece. */
  private readonly places = new Map<number, number>()
  /** Bytes that admitted requests have not got yet. */
  private promised = 0

  /**
   * freeBytes: memory that the kernel could give just now. undefined: nobody knows.
   * how: populate where the filesystem is to write the blocks too.
   */
  constructor(
    private readonly work: FileWork,
    private readonly pageBytes: number,
    private readonly freeBytes: () => number | undefined,
    private readonly how: 'allocate' | 'populate' = 'allocate',
  ) {}

  /** A failure leaves nothing reserved. @throws SystemError, SourceError (ENOSPC, ECANCELED: the caller is gone) */
  reserve(
    uid: number,
    fd: number,
    offset: number,
    length: number,
    call?: Pick<Call, 'ended'>,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const asked = { uid, fd, offset, length, call, resolve, reject }
      const request = { ...asked, done: 0, admitted: false, passedOver: 0 }
      this.enqueue(request)
      this.next()
    })
  }

  private enqueue(request: Request): void {
    const queue = this.waiting.get(request.uid) ?? []
    queue.push(request)
    this.waiting.set(request.uid, queue)
  }

  private next(): void {
    for (const [uid, queue] of this.waiting) {
      if (this.places.size >= runningMax) return
      if (this.running.has(uid)) continue
      const request = queue[0]!
      if (!request.admitted && !request.call?.ended) {
        const room = this.roomFor(request)
        if (room === 'unknown') {
          if (request.passedOver++ < passedOverMax) continue
          return
        }
        if (room === 'enough') {
          request.admitted = true
          this.promised += request.length
        }
      }
      queue.shift()
      // To the end of the queue: a Map keeps the order of insertion.
      this.waiting.delete(uid)
      if (queue.length > 0) this.waiting.set(uid, queue)
      this.running.add(uid)
      this.places.set(uid, request.admitted ? this.pieceOf(request) : 0)
      void this.run(request).finally(() => {
        this.running.delete(uid)
        this.next()
      })
    }
  }

  /** This counts a running piece twice in part. If the answer depends on that, the broker knows it only when no piece runs. */
  private roomFor({ length }: Request): 'enough' | 'none' | 'unknown' {
    const free = this.freeBytes()
    if (free === undefined || length <= free - this.promised) return 'enough'
    const running = [...this.places.values()].reduce((sum, bytes) => sum + bytes, 0)
    return length <= free - this.promised + running ? 'unknown' : 'none'
  }

  private pieceOf({ done, length }: Request): number {
    return Math.min(Math.max(pieceBytesMin, this.pageBytes), length - done)
  }

  /** Reserves one piece of the request. */
  private async run(request: Request): Promise<void> {
    const { uid, fd, offset, length, done, admitted, call } = request
    // Nobody can wait for such a piece: another owner gets its place.
    const slow = setTimeout(() => this.vacate(uid), slowMs)
    try {
      checkWanted(call)
      if (!admitted) throw failure('ENOSPC', `there is no room for ${length} bytes`)
      const piece = this.pieceOf(request)
      await this.work[this.how](uid, fd, offset + done, piece)
      request.done += piece
      this.promised -= piece
      checkWanted(call)
      if (request.done < length) this.enqueue(request)
      else request.resolve()
    } catch (error) {
      if (admitted) {
        this.promised -= length - request.done
        // All memory that the request has got comes back in a moment.
        if (this.places.has(uid)) this.places.set(uid, length)
        await punchOut(this.work, uid, fd, offset, length).catch(() => {})
      }
      request.reject(error)
    } finally {
      clearTimeout(slow)
      this.places.delete(uid)
    }
  }

  private vacate(uid: number): void {
    this.places.delete(uid)
    this.next()
  }
}

/** @throws SourceError ECANCELED */
function checkWanted(call: Pick<Call, 'ended'> | undefined): void {
  if (call?.ended) throw failure('ECANCELED', 'the client that it was for is gone')
}

function failure(code: string, text: string): SourceError {
  return Object.assign(new SourceError(text), { code })
}
