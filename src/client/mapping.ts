import type { Mapping as MappingInfo } from '../../protocol/generated/broker'
import type { CallOptions } from './allocation'
import type { Core, RevokeOutcome } from './core'
import type { Holding, MappingState, RevokeHandler } from './holding'

export interface WindowOptions {
  /** First byte, from the start of the mapping; any, not only multiples of a page. Default: 0 */
  offset?: number | undefined
  /** In bytes, at most 4 GiB in whole pages. Default: to the end of the mapping */
  length?: number | undefined
  /** Default: true where the mapping is readWrite */
  writable?: boolean | undefined
}

/** Last resort for a mapping nobody closed and nobody can reach: its descriptor. The layout stays with the broker. */
const unreachable = new FinalizationRegistry<Holding>(holding => holding.closeFd())

/**
 * The right to map part of an allocation: one descriptor, and windows over the memory.
 *
 * Ends by close() (given up for good), by a revoke of the broker, or with the process. Only the first two give up the
 * layout: after the end of the process the broker keeps it, and rebuild() or claim() of the next one gets it back.
 */
export class Mapping {
  readonly #core: Core
  readonly #holding: Holding

  /** @internal */
  constructor(core: Core, holding: Holding) {
    this.#core = core
    this.#holding = holding
    unreachable.register(this, holding, this)
  }

  /** The broker's number of this mapping. */
  get id(): number {
    return this.#holding.info.id
  }

  /** The mapping as the broker described it when it was made. */
  get info(): Readonly<MappingInfo> {
    return this.#holding.info
  }

  /** First byte, from the start of the allocation. */
  get offset(): number {
    return this.#holding.info.offset
  }

  /** In bytes. */
  get length(): number {
    return this.#holding.info.length
  }

  get access(): 'read' | 'readWrite' {
    return this.#holding.info.access
  }

  /** Where the mapping lies in the guest's physical address space, in bytes, as given to map(). */
  get guestAddress(): number | undefined {
    return this.#holding.info.guestAddress ?? undefined
  }

  /** What map() was given. */
  get metadata(): unknown {
    return this.#holding.info.metadata ?? undefined
  }

  get state(): MappingState {
    return this.#holding.state
  }

  /**
   * The descriptor, for mmap() in native code, KVM, VFIO, a child process. It stays this mapping's: duplicate it to
   * keep it longer. Every duplicate must be gone before a revoke can be proved.
   * @throws BrokerError MappingRevoked after the end of the mapping
   */
  get fd(): number {
    return this.#holding.fd
  }

  /** Where in the descriptor the mapping starts: what to give mmap() for the mapping's first byte. */
  get mmapOffset(): number {
    return this.#holding.mmapOffset
  }

  /** Offsets and lengths that mmap() takes are multiples of this many bytes. */
  get pageBytes(): number {
    return this.#holding.pageBytes
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
    return this.#holding.openWindow(offset, options.length ?? this.length - offset, writable)
  }

  /** Address of a window's first byte in this process, for ioctl() in native code. */
  addressOf(window: Buffer): bigint {
    return this.#holding.addressOf(window)
  }

  /** Unmap one window; its length becomes 0. */
  closeWindow(window: Buffer): void {
    this.#holding.closeWindow(window)
  }

  /**
   * Called when the broker wants the mapping back. The library waits for all handlers, until the deadline at most;
   * then it unmaps the windows, closes the descriptor and tells the broker. A handler lets go of everything that it
   * made of the descriptor: KVM slots, DMA mappings, duplicates, children's copies. One that throws or rejects is told
   * of by a warning and in `mappingRevoked`; it delays nothing.
   * @returns a function that takes the handler away again
   */
  onRevoke(handler: RevokeHandler): () => void {
    this.#holding.handlers.add(handler)
    return () => void this.#holding.handlers.delete(handler)
  }

  /**
   * Give the mapping up for good: unmap the windows, close the descriptor, and have the broker forget the layout.
   * Local resources are gone as soon as it is called, whatever comes of the rest. Idempotent.
   * @returns quarantined where something else (a duplicate, a child) still holds the memory; undefined where the
   * broker no longer knew the mapping
   */
  async close(options: CallOptions = {}): Promise<RevokeOutcome | undefined> {
    unreachable.unregister(this)
    return this.#core.giveUp(this.#holding, options.signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
