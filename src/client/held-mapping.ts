import { SystemError, Window } from '../../native'
import type { Grant, Mapping as MappingInfo } from '../../protocol/generated/broker'
import { GiB, roundUp } from '../../protocol/units'
import { closeQuietly } from './descriptor'
import { BrokerError, invalidArgument } from './errors'

/**
 * Node 20 can't make a larger ArrayBuffer over foreign memory, and Buffer.copy() of Node 22 and 24 reads the wrong
 * place beyond it.
 */
export const windowBytesMax = 4 * GiB

/** The argument of a revoke handler. */
export interface RevokeNotice {
  /** The reason of the revoke, if the broker gives one. */
  readonly detail: string | undefined
  /** When the broker stops asking, in milliseconds since the Unix epoch. */
  readonly deadline: number
  /**
   * Aborts at the deadline: then the library takes the memory away, whatever the handler still does. An error of a
   * listener of the signal is an uncaught exception, as with every AbortSignal; an error of the handler is not.
   */
  readonly signal: AbortSignal
}

export type RevokeHandler = (notice: RevokeNotice) => void | Promise<void>

/**
 * held: usable; revoking: the broker asked for it back; lost: still usable, but the broker no longer knows it;
 * closed: given up, revoked, or ended with its broker connection.
 */
export type MappingState = 'held' | 'revoking' | 'lost' | 'closed'

/**
 * A mapping's possessions: one descriptor and the windows made from it. Apart from the Mapping that users see, so
 * that the library can answer a revoke notice when the user has dropped the Mapping but still uses a window.
 */
export class HeldMapping {
  readonly info: MappingInfo
  /** Where in the descriptor the mapping starts, in bytes. */
  readonly mmapOffset: number
  /** Multiple that the kernel demands of an mmap of the descriptor, in bytes. Set before anybody has the mapping. */
  pageBytes = 0
  private ownHandlers: Set<RevokeHandler> | undefined
  private readonly windows = new Map<ArrayBufferLike, InstanceType<typeof Window>>()
  private ownFd: number
  private current: MappingState = 'held'

  /** Adopts fd. */
  constructor(grant: Grant, fd: number) {
    this.info = grant.mapping
    this.mmapOffset = grant.mmapOffset
    this.ownFd = fd
  }

  get state(): MappingState {
    return this.current
  }

  get isOpen(): boolean {
    return this.ownFd >= 0
  }

  /** @throws BrokerError MappingRevoked */
  get fd(): number {
    if (this.ownFd < 0) throw this.gone()
    return this.ownFd
  }

  get handlers(): Set<RevokeHandler> {
    this.ownHandlers ??= new Set()
    return this.ownHandlers
  }

  beginRevoke(): void {
    if (this.current === 'held') this.current = 'revoking'
  }

  markLost(): void {
    if (this.current !== 'closed') this.current = 'lost'
  }

  /** @throws BrokerError MappingRevoked, InvalidArgument, WindowFailed */
  openWindow(offset: number, length: number, writable: boolean): Buffer {
    const { info, pageBytes } = this
    const fd = this.fd
    if (!within(offset, length, info.length)) {
      throw invalidArgument(
        'window',
        `offset ${offset} and length ${length} leave the mapping's ${info.length} bytes`,
      )
    }
    if (writable && info.access !== 'readWrite')
      throw invalidArgument('writable', 'the mapping is for reading only')
    const start = this.mmapOffset + offset
    const pageStart = start - (start % pageBytes)
    const bytes = roundUp(start + length - pageStart, pageBytes)
    if (bytes > windowBytesMax) {
      throw invalidArgument(
        'length',
        `a window of ${bytes} bytes (in whole pages) is more than the 4 GiB that a JavaScript buffer can safely show; ` +
          'make several, or map mapping.fd in native code',
      )
    }
    const window = new Window(fd, pageStart, bytes, writable)
    if (window.errno !== 0) {
      throw new BrokerError(
        'WindowFailed',
        `${new SystemError('mmap', window.errno).message} (${bytes} bytes at ${pageStart})`,
        {
          parameters: { errno: window.errno, offset: pageStart, length: bytes },
        },
      )
    }
    this.windows.set(window.buffer, window)
    return Buffer.from(window.buffer, start - pageStart, length)
  }

  /** Address of the first byte of a window of this mapping. */
  addressOf(window: Buffer): bigint {
    return this.windowOf(window).address + BigInt(window.byteOffset)
  }

  closeWindow(window: Buffer): void {
    this.windowOf(window).revoke()
    this.windows.delete(window.buffer)
  }

  /** Windows become empty, the descriptor is closed. Idempotent. */
  drop(): void {
    this.current = 'closed'
    for (const window of this.windows.values()) window.revoke()
    this.windows.clear()
    this.closeFd()
    this.ownHandlers = undefined
  }

  /** The descriptor alone; windows stay. Idempotent. */
  closeFd(): void {
    if (this.ownFd < 0) return
    closeQuietly(this.ownFd)
    this.ownFd = -1
  }

  private windowOf(buffer: Buffer): InstanceType<typeof Window> {
    const window = this.windows.get(buffer.buffer)
    if (!window) throw invalidArgument('window', 'it is not an open window of this mapping')
    return window
  }

  private gone(): BrokerError {
    const { id, allocation } = this.info
    return new BrokerError(
      'MappingRevoked',
      `mapping ${id} of ${JSON.stringify(allocation)} is closed or was revoked`,
      {
        parameters: { mapping: id, name: allocation },
      },
    )
  }
}

function within(offset: number, length: number, bytes: number): boolean {
  return (
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length > 0 &&
    offset + length <= bytes
  )
}
