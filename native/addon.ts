/**
 * The addon's own functions and classes, shaped like system calls. functions.ts exports the functions and documents
 * them; this file documents the classes, which functions.ts passes on as they are. A negative number is -errno: as a
 * function's result, where functions.ts throws a SystemError, as a promise's, as a method's, and in a property named
 * errno. A function answers a question by 1 or 0. Callbacks get a positive errno. No function blocks longer than its
 * system call, except where it returns a promise. A wrong type is a TypeError.
 */
export interface Addon {
  listenUnix(path: string, backlog: number): number
  connectUnix(path: string): number
  sendDatagram(path: string, text: string, fds: readonly number[]): number
  socketPair(): [number, number] | number
  discardUnread(socket: number): number
  peerOf(fd: number): ReturnType<NativeSocket['peer']>
  peerUid(fd: number): number
  adoptListener(fd: number): string | number
  openTap(name: string, vnetHeader: boolean): number
  tapHeaderBytes(fd: number): number
  setTapHeaderBytes(fd: number, bytes: number): number
  tapOffloads(fd: number): number
  setTapOffloads(fd: number, flags: number): number

  pidfdOpen(pid: number): number
  pidfdSendSignal(pidfd: number, signal: number): number
  isAlive(pidfd: number): number
  pidfdGetfd(pidfd: number, fd: number): number
  exec(
    file: string,
    argv: string[],
    environment: string[],
    fds: ReadonlyArray<{ from: number; to: number }>,
  ): number
  spawnWorker(executable: number, socket: number, area: number): { pid: number; pidfd: number } | number
  reap(pid: number): number
  writeNonblocking(fd: number, bytes: Uint8Array): number

  memfdCreate(name: string, options: MemfdOptions): number
  addSeals(fd: number, seals: number): number
  getSeals(fd: number): number
  reopen(fd: number, writable: boolean): number
  dupFd(fd: number): number
  fallocate(fd: number, offset: number, length: number): Promise<number>
  punchHole(fd: number, offset: number, length: number): Promise<number>
  isDirectAccess(file: string): number
  isSoleOpener(fd: number): number
  openSole(path: string): number
  lockFile(fd: number, offset: number, length: number): number
  takeWriteError(fd: number): number
  watchWrites(directory: string): number

  createLiveSessions(device: number, names: readonly string[]): number[]
  retrieveLiveSessions(device: number, names: readonly string[]): number[]
  liveSessionName(session: number): string | number
  preserveFiles(sessions: readonly number[], files: readonly number[], token: number): Promise<number[]>
  retrieveFiles(sessions: readonly number[], token: number): Promise<number[]>
  finishLiveSessions(sessions: readonly number[]): Promise<number[]>

  makeDaxDevice(
    region: string,
    driver: string,
    nodes: string,
    extents: ReadonlyArray<{ start: number; end: number }>,
    alignBytes: number,
  ): NewDaxDevice
  findUnboundDax(bus: string): string | number

  mountPrivate(path: string): number
  mountNode(path: string, name: string, device: number, uid: number): number
  bindPrivate(file: string, path: string): number
  unshareMounts(): number
  bindFile(file: number, place: number, writable: boolean): number
  isMountIdle(path: string): number
  unmount(path: string, detach: boolean): number
  makeNode(path: string, device: number): number
  spliceToPipe(fd: number, offset: number, mapBytes: number): number

  mappedRead(fd: number, offset: number, length: number, pageBytes: number): Buffer | number
  crc32c(bytes: Uint8Array, initial: number): number
  crc32cPortable(bytes: Uint8Array, initial: number): number
  blake3(bytes: Uint8Array, lanesMax: number): Buffer

  /**
   * Accepts connections until close(). It adopts fd, and onConnection gets a descriptor that is the callee's to close.
   * onError gets errno (EMFILE, ...); the listener then accepts nothing until resume().
   */
  Listener: new (
    fd: number,
    onConnection: (fd: number) => void,
    onError: (errno: number) => void,
  ) => NativeListener
  /**
   * Adopts fd. In a worker thread, an fd that node:fs opened needs the worker's option trackUnmanagedFds to be off:
   * else Node closes its number too.
   */
  Socket: new (
    fd: number,
    events: SocketEvents,
  ) => NativeSocket
  /** Adopts pidfd; calls onExit once, when the process has exited. */
  ExitWatch: new (
    pidfd: number,
    onExit: () => void,
  ) => Closable
  /** Adopts fd; calls onReadable once when it can be read, and once more after each again(). */
  ReadableWatch: new (
    fd: number,
    onReadable: () => void,
  ) => NativeReadableWatch
  /** Overwrites with zeros through a mapping, on the given number of threads. */
  Scrub: new (
    fd: number,
    offset: number,
    length: number,
    threads: number,
  ) => NativeSweep
  /**
   * Makes BLAKE3 of the bytes, on the given number of threads. It reads a file, so that its holes stay holes, and maps
   * a device.
   */
  Digest: new (
    fd: number,
    offset: number,
    length: number,
    threads: number,
  ) => NativeDigest
  /** One mmap (MAP_SHARED) with one ArrayBuffer over it, at most 4 GiB (-EFBIG). It throws nothing: see errno. */
  Window: new (
    fd: number,
    offset: number,
    length: number,
    writable: boolean,
  ) => NativeWindow
  /**
   * A shared mapping whose loads and stores survive a bad page or a truncated file: they give -EFAULT or -EHWPOISON
   * instead of killing the process.
   */
  TableMap: new (
    fd: number,
    offset: number,
    length: number,
  ) => NativeTableMap
}

export interface MemfdOptions {
  /** 0: ordinary pages. */
  hugePageBytes: number
  allowSealing: boolean
  /** Without the seal that forbids execution: a kernel that keeps such a memfd over kexec gives it back read-only. */
  staysWritable?: boolean
}

/** The device that makeDaxDevice made. errno 0: the driver has it. -EPROTO: the kernel took a value and shows another one. */
export interface NewDaxDevice {
  readonly errno: number
  /** The step that failed, for people: "writing '1' to FILE". */
  readonly doing: string
  /** '' before the kernel has made it. */
  readonly name: string
  /** st_rdev of its node, once the driver has it. */
  readonly device: number
}

/** Keeps the event loop alive until it ends or close(). close() is idempotent, and no callback comes after it. */
export interface Closable {
  close(): void
}

export interface NativeListener extends Closable {
  pause(): void
  resume(): void
}

export interface SocketEvents {
  /**
   * bytes are the callee's own copy. fds came with this read and are the callee's to close. The kernel ends a read
   * after the write that carried descriptors, so they belong to the last message that begins in bytes.
   */
  onData(bytes: Buffer, fds: number[]): void
  /**
   * Comes once, after the socket has closed itself. errno 0: the peer closed in order. EPROTO: the kernel truncated
   * descriptors (MSG_CTRUNC) or, with onFinish, the peer sent out-of-band data.
   */
  onEnd(errno: number): void
  /** The kernel has taken all that send() had queued. */
  onDrain(): void
  /**
   * The peer sends no more and goes on reading (shutdown(2)). Give this only on the side that answers calls. With it,
   * onEnd comes as soon as the peer has closed, the socket drops what it has not read by then, and a read brings at
   * most 8 KiB. Without it, the socket reads all that the peer sent, and onEnd comes when the peer sends no more.
   */
  onFinish?(): void
}

export interface NativeReadableWatch extends Closable {
  again(): void
}

export interface NativeSocket extends Closable {
  /**
   * Queues bytes, with fds attached to their first byte, and writes what the kernel takes now. It adopts fds and closes
   * them once sent, and on failure. It returns the bytes still queued (0: the kernel took all), or -errno after the
   * end. It sends nothing, and the socket stays open, with -EINVAL for more than 253 fds or fds without bytes, and with
   * -EBADF for an fd that is not open.
   */
  send(bytes: Uint8Array, fds: readonly number[]): number
  readonly queuedBytes: number
  /** Descriptors that wait with the queued bytes, open here until the kernel takes them. */
  readonly queuedFds: number
  /** Until resume() no onData comes, and onEnd only when writing fails or, with onFinish, the peer has closed. */
  pause(): void
  resume(): void
  /** As peerOf(). */
  peer(): { pid: number; uid: number; gid: number; pidfd: number } | number
}

/**
 * Work over a part of a file, on threads of its own that give way to others (nice). It steps over memory that has
 * failed.
 */
export interface NativeSweep {
  /**
   * Settles with 0 or -errno, and never rejects. -EHWPOISON: all is done except what bad() lists. -EFAULT: pages are
   * missing (somebody truncated the file or took the device away). -ECANCELED: after cancel(). Others: why it did not
   * begin.
   */
  readonly errno: Promise<number>
  bytesDone(): number
  /** Returns at once. errno settles when the threads have stopped. */
  cancel(): void
  /**
   * Once errno has settled: the memory that has failed, in order, neighbours joined. Offsets count from the start of
   * the part.
   */
  bad(): Array<{ offset: number; length: number }>
}

export interface NativeDigest extends NativeSweep {
  /** 32 bytes, once errno has settled with 0. */
  hash(): Buffer | undefined
}

export interface NativeWindow {
  readonly errno: number
  readonly buffer: ArrayBuffer
  /** Address of the mapping in this process, for an ioctl; 0 after revoke(). */
  readonly address: bigint
  /**
   * Detaches the buffer and puts anonymous pages in the file's place. The address range goes back to the kernel once
   * thread-pool work in flight is over. Idempotent.
   */
  revoke(): void
}

export interface NativeTableMap extends Closable {
  readonly errno: number
  /** A copy. Here as in write and publish, -ERANGE is outside the mapping, and -EBADF after close(). */
  read(offset: number, length: number): Buffer | number
  write(offset: number, bytes: Uint8Array): number
  /** After all earlier writes, one aligned 8-byte store (low word, high word), then a fence. -EINVAL: not aligned. */
  publish(offset: number, low: number, high: number): number
  /**
   * Room for storeAll(), all zero, in place of the room before: a plan of two doubles and three for each of so many stores, then so
   * many bytes. It lives as long as either end has it. -ENOMEM: there is none, or it would be above 1 GiB.
   */
  stage(stores: number, bytes: number): ArrayBuffer | number
  /**
   * Several of these from the stage, in their order. Its plan has their count, and the length of the journal's entry that its bytes
   * begin with, which first gets its CRC (0: there is none). Then for each store an offset in the mapping, a place in the stage's
   * bytes, and a length: so many bytes it writes, and for 0 it publishes the word there. It ends with the first that fails, after so
   * many as stored says. Without a stage: -EINVAL.
   */
  storeAll(): number
  readonly stored: number
}
