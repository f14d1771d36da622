/**
 * The protocol's carrier: an ordered byte stream on which descriptors travel with the bytes that they were sent with.
 */
export interface Channel {
  /** Queue bytes with descriptors attached to the first of them. Adopts the descriptors, whatever happens. */
  send(bytes: Uint8Array, fds: readonly number[]): void
  /** Bytes accepted but not yet taken by the kernel. */
  readonly queuedBytes: number
  /** Descriptors that came with them, and are still open here. */
  readonly queuedFds: number
  pause(): void
  resume(): void
  /** Idempotent; onEnd is not called after it. */
  close(): void
}

/** Set once, before the first event can arrive. */
export interface ChannelEvents {
  /** The callee owns fds from here on. */
  onData(bytes: Buffer, fds: number[]): void
  /** Once; an Error when the peer or the transport failed, undefined when it closed in order. */
  onEnd(error: Error | undefined): void
  /** The peer sends no more, and may go on reading. A channel that can't tell this from the end says onEnd. */
  onFinish?(): void
  /** The queue, which had been non-empty, is empty again. */
  onDrain(): void
}

/** Makes the channel; given the events it is to deliver. */
export type OpenChannel = (events: ChannelEvents) => Channel
