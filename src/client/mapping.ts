import { inspect } from 'node:util'
import type { Mapping as MappingInfo } from '../../protocol/generated/broker'
import type { HeldMapping, MappingState, RevokeHandler } from './held-mapping'
import type { CallOptions, RevokeOutcome } from './options'

export interface WindowOptions {
  /** First byte, from the start of the mapping; any, not only multiples of a page. Default: 0 */
  offset?: number | undefined
  /** In bytes, at most 4 GiB in whole pages. Default: to the end of the mapping */
  length?: number | undefined
  /** Default: true where the mapping is readWrite */
  writable?: boolean | undefined
}

/** Ends a mapping here and at the broker; undefined if the broker does not know it any more. */
interface MappingOwner {
  giveUp(held: HeldMapping, signal: AbortSignal | undefined): Promise<RevokeOutcome | undefined>
}

/** Last resort for a mapping nobody closed and nobody can reach: its descriptor. The layout stays with the broker. */
const unreachable = new FinalizationRegistry<HeldMapping>(held => held.closeFd())

/**
 * The right to map part of an allocation: one descriptor, and windows over the memory.
 *
 * Ends by close() (given up for good), by a revoke of the broker, or with the process. Only the first two give up the
 * layout: after the end of the process the broker keeps it, and rebuild() or claim() of the next one gets it back.
 */
export class Mapping {
  private readonly owner: MappingOwner
  private readonly held: HeldMapping

  /** @internal */
  constructor(owner: MappingOwner, held: HeldMapping) {
    this.owner = owner
    this.held = held
    unreachable.register(this, held, this)
  }

  /** The broker's number of this mapping. */
  get id(): number {
    return this.held.info.id
  }

  /** The mapping as the broker described it when it was made. */
  get info(): Readonly<MappingInfo> {
    return this.held.info
  }

  /** JSON and logs show its info, not the connection. */
  toJSON(): Readonly<MappingInfo> {
    return this.info
  }

  [inspect.custom](): Readonly<MappingInfo> {
    return this.info
  }

  /** First byte, from the start of the allocation. */
  get offset(): number {
    return this.held.info.offset
  }

  /** In bytes. */
  get length(): number {
    return this.held.info.length
  }

  get access(): 'read' | 'readWrite' {
    return this.held.info.access
  }

  /** Where the mapping lies in the guest's physical address space, in bytes, as given to map(). */
  get guestAddress(): number | undefined {
    return this.held.info.guestAddress ?? undefined
  }

  /** The arguments of map(). */
  get metadata(): unknown {
    return this.held.info.metadata ?? undefined
  }

  get state(): MappingState {
    return this.held.state
  }

  /**
   * The descriptor, for mmap() in native code, KVM, VFIO, a child process. It stays this mapping's: duplicate it to
   * keep it longer. Every duplicate must be gone before a revoke can be proved.
   * @throws BrokerError MappingRevoked after the end of the mapping
   */
  get fd(): number {
    return this.held.fd
  }

  /** Offset of the mapping's first byte in the descriptor, for mmap(). */
  get mmapOffset(): number {
    return this.held.mmapOffset
  }

  /** Offsets and lengths that mmap() takes are multiples of this many bytes. */
  get pageBytes(): number {
    return this.held.pageBytes
  }

  /**
   * A Buffer over the memory itself, not a copy. When the mapping ends, its length becomes 0.
   *
   * A window that is not writable must not be written to: JavaScript can't mark a buffer read-only, and the kernel
   * ends the process for it (SIGSEGV). The buffer's underlying ArrayBuffer covers whole pages.
   * @throws BrokerError InvalidArgument, MappingRevoked, WindowFailed
   */
  window(options: WindowOptions = {}): Buffer {
    const { offset = 0, writable = this.access === 'readWrite' } = options
    return this.held.openWindow(offset, options.length ?? this.length - offset, writable)
  }

  /** Address of a window's first byte in this process, for ioctl() in native code. */
  addressOf(window: Buffer): bigint {
    return this.held.addressOf(window)
  }

  /** Unmap one window; its length becomes 0. */
  closeWindow(window: Buffer): void {
    this.held.closeWindow(window)
  }

  /**
   * Called when the broker wants the mapping back. The library waits for all handlers, until the deadline at most;
   * then it unmaps the windows, closes the descriptor and tells the broker. A handler ends everything that the
   * program made from the descriptor: KVM slots, DMA mappings, duplicates, children's copies. A handler that throws
   * or rejects delays nothing; a warning and `mappingRevoked` report it.
   * @returns a function that takes the handler away again
   */
  onRevoke(handler: RevokeHandler): () => void {
    this.held.handlers.add(handler)
    return () => void this.held.handlers.delete(handler)
  }

  /**
   * Give the mapping up for good: unmap the windows, close the descriptor, and make the broker forget the layout.
   * Local resources are gone at once, whatever the broker answers. Idempotent.
   * @returns quarantined if a duplicate or a child still holds the memory; undefined if the broker no longer knew the
   * mapping
   */
  async close(options: CallOptions = {}): Promise<RevokeOutcome | undefined> {
    unreachable.unregister(this)
    return this.owner.giveUp(this.held, options.signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
