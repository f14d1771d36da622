import { Buffer } from 'node:buffer'
import type { Channel, ChannelEvents, OpenChannel } from '../../../protocol/wire/channel'
import type { Turns } from '../../../protocol/wire/responder'

/** Descriptors that only exist here: counts what is open, and refuses to close anything twice. */
export class FdLedger {
  private readonly open = new Set<number>()
  private next = 100

  make(count: number): number[] {
    return Array.from({ length: count }, () => {
      const fd = this.next++
      this.open.add(fd)
      return fd
    })
  }

  readonly close = (fd: number): void => {
    if (!this.open.delete(fd)) throw new Error(`fd ${fd} closed twice, or never open`)
  }

  get openCount(): number {
    return this.open.size
  }
}

interface Piece {
  bytes: Buffer
  fds: number[]
}

/** Every call has its turn when it comes. */
export const atOnce: Turns = {
  ready: connection => {
    while (connection.takeTurn());
  },
}

/** One direction's kernel buffer; a read ends after the first piece with descriptors, as the kernel's does. */
class MemoryChannel implements Channel {
  events!: ChannelEvents
  peer!: MemoryChannel
  readonly outgoing: Piece[] = []
  private readonly ledger: FdLedger
  queuedBytes = 0
  queuedFds = 0
  paused = false
  closed = false

  constructor(ledger: FdLedger) {
    this.ledger = ledger
  }

  readonly open: OpenChannel = events => {
    this.events = events
    return this
  }

  send(bytes: Uint8Array, fds: readonly number[]): void {
    if (this.closed) for (const fd of fds) this.ledger.close(fd)
    else {
      this.outgoing.push({ bytes: Buffer.from(bytes), fds: [...fds] })
      this.queuedBytes += bytes.length
    }
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    for (const { fds } of this.outgoing.splice(0)) for (const fd of fds) this.ledger.close(fd)
  }

  /** Give the peer one read of at most bytesMax; false when there is nothing it could read. */
  deliver(bytesMax: number): boolean {
    if (this.peer.closed || this.peer.paused || this.outgoing.length === 0) return false
    const taken: Buffer[] = []
    let fds: number[] = []
    let room = bytesMax
    while (room > 0 && this.outgoing.length > 0 && fds.length === 0) {
      const piece = this.outgoing[0]!
      fds = piece.fds
      piece.fds = []
      const part = piece.bytes.subarray(0, room)
      piece.bytes = piece.bytes.subarray(part.length)
      if (piece.bytes.length === 0) this.outgoing.shift()
      taken.push(part)
      room -= part.length
      this.queuedBytes -= part.length
    }
    this.peer.events.onData(Buffer.concat(taken), fds)
    if (this.outgoing.length === 0 && !this.closed) this.events.onDrain()
    return true
  }
}

interface ChannelPair {
  ledger: FdLedger
  near: MemoryChannel
  far: MemoryChannel
  /** Deliver in both directions until nothing moves. */
  pump(bytesMax?: () => number): void
}

export function channelPair(): ChannelPair {
  const ledger = new FdLedger()
  const near = new MemoryChannel(ledger)
  const far = new MemoryChannel(ledger)
  near.peer = far
  far.peer = near
  const pump = (bytesMax: () => number = () => 65536): void => {
    for (let moved = true; moved; ) {
      const there = near.deliver(bytesMax())
      const back = far.deliver(bytesMax())
      moved = there || back
    }
  }
  return { ledger, near, far, pump }
}

/** Promises already settled get to run. */
export const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
