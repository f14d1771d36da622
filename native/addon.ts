/**
 * The addon's own functions, syscall-shaped. Where a result is a number (returned, promised, or a property named
 * errno), a negative one is -errno; index.ts turns those of functions into errors. Callbacks get a positive errno.
 * No function blocks longer than its system call, except where it returns a promise. A wrong type is a TypeError.
 */
export interface Addon {
  // Unix stream sockets. Descriptors are non-blocking and close-on-exec.
  /** A path that begins with NUL is an abstract address. */
  listenUnix(path: string, backlog: number): number
  /** -EAGAIN: the listener's backlog is full. */
  connectUnix(path: string): number
  /** 0, or -EAGAIN: the receiver's queue is full. Borrows fds. */
  sendDatagram(path: string, text: string, fds: readonly number[]): number
  socketPair(): [number, number] | number
  /** What Socket.peer() tells, of a socket that is none yet. */
  peerOf(fd: number): ReturnType<NativeSocket['peer']>
  /** Of the process that connected, or listens. */
  peerUid(fd: number): number
  /** The path of a listening Unix stream socket made elsewhere, from now on like one of listenUnix. -EINVAL: it is none. */
  adoptListener(fd: number): string | number
  /** Accepts until close(); fd ownership passes to onConnection. Adopts fd. onError gets errno (EMFILE, ...): accepting is then paused until resume(). */
  Listener: new (
    fd: number,
    onConnection: (fd: number) => void,
    onError: (errno: number) => void,
  ) => NativeListener
  /** Adopts fd. In a worker thread, fds that node:fs opened need its trackUnmanagedFds off: else Node closes their numbers too. */
  Socket: new (
    fd: number,
    events: SocketEvents,
  ) => NativeSocket

  // Processes
  pidfdOpen(pid: number): number
  pidfdSendSignal(pidfd: number, signal: number): number
  /** 1: the process has not exited; 0: it has. */
  isAlive(pidfd: number): number
  /** Adopts pidfd; calls onExit once when the process has exited. */
  ExitWatch: new (
    pidfd: number,
    onExit: () => void,
  ) => Closable
  /** Adopts fd; calls onReadable once when it can be read, and again after each again(). */
  ReadableWatch: new (
    fd: number,
    onReadable: () => void,
  ) => NativeReadableWatch
  /**
   * execve with descriptors moved to the numbers given and not close-on-exec; resets signals node ignores. Of the
   * others only the standard streams stay open (Node marks all it inherits close-on-exec). file is looked up in this
   * process' PATH. Returns only on failure, with everything as before.
   */
  exec(
    file: string,
    argv: string[],
    environment: string[],
    fds: ReadonlyArray<{ from: number; to: number }>,
  ): number
  /**
   * Starts the program of a descriptor with a socket as its 3 and a file as its 4; nothing else of this process but
   * the standard error stream. A number is -errno. Its exit is to be followed by reap().
   */
  spawnWorker(executable: number, socket: number, area: number): { pid: number; pidfd: number } | number
  /** -EAGAIN: it has not ended. */
  reap(pid: number): number
  /** Writes to a pipe, socket, terminal or file what it takes without waiting, at most 4 KiB; -EAGAIN when nothing. */
  writeNonblocking(fd: number, bytes: Uint8Array): number

  // Memory
  /** Close-on-exec and mode 0600. hugePageBytes 0: ordinary pages. */
  memfdCreate(name: string, options: { hugePageBytes: number; allowSealing: boolean }): number
  addSeals(fd: number, seals: number): number
  getSeals(fd: number): number
  /** A new open file description of the same file, by /proc/self/fd. */
  reopen(fd: number, writable: boolean): number
  /** The same open file description under another number. */
  dupFd(fd: number): number
  fallocate(fd: number, offset: number, length: number): Promise<number>
  punchHole(fd: number, offset: number, length: number): Promise<number>
  /**
   * 1: fd is the only open file description of its file anywhere, so no other descriptor and no mapping of it exists
   * (the kernel grants a write lease only then); 0: there are others; negative: -errno. Copies of fd itself, by dup,
   * fork or SCM_RIGHTS, and mappings made through it, are the same description and not seen: ask with one that was
   * never given away nor mapped. Needs the file's own uid or CAP_LEASE.
   */
  isSoleOpener(fd: number): number
  /** Exclusive open-file-description lock on the whole file; -EAGAIN when another holds it. Released with the last fd. */
  lockFile(fd: number): number
  // Device-DAX, by sysfs. For root; each write blocks for as long as the kernel likes.
  /**
   * Makes a device in a region (the directory with dax_region in it), gives it these extents (physical addresses), reads
   * back that it has them, and binds it to the driver (its directory in sysfs). Its node in the directory nodes is
   * root's alone. The device is left as it is when a step fails.
   */
  makeDaxDevice(
    region: string,
    driver: string,
    nodes: string,
    extents: ReadonlyArray<{ start: number; end: number }>,
    alignBytes: number,
  ): NewDaxDevice
  /** A device of the bus (its directory in sysfs) that has memory and no driver; '': there is none. */
  findUnboundDax(bus: string): string | number
  // Mounts. For root.
  /** Mounts an empty tmpfs there, mode 0700, that is not propagated to other mount namespaces. */
  mountPrivate(path: string): number
  /** The same in a new directory (-EEXIST: there is one), with a character device of that name in it, mode 0600. All or nothing. */
  mountNode(path: string, name: string, device: number, uid: number): number
  /** Mounts a file over another, not propagated either. */
  bindPrivate(file: string, path: string): number
  /** 1: nothing anywhere is open by way of this mount, be it mapped, in flight on a socket, or held by path; 0: something is. */
  isMountIdle(path: string): number
  /** -EBUSY, without detach, while something is open by way of it. */
  unmount(path: string, detach: boolean): number
  /** A character device, mode 0600. device as st_rdev has it. */
  makeNode(path: string, device: number): number
  /** A pipe that holds the last page of mapBytes of the file: the page itself, no copy. Nothing stays mapped. */
  spliceToPipe(fd: number, offset: number, mapBytes: number): number
  /** Overwrite with zeros through a mapping, on so many threads. */
  Scrub: new (
    fd: number,
    offset: number,
    length: number,
    threads: number,
  ) => NativeSweep
  /** BLAKE3 of the bytes, on so many threads; a file is read, so that its holes stay holes, a device is mapped. */
  Digest: new (
    fd: number,
    offset: number,
    length: number,
    threads: number,
  ) => NativeDigest
  /** One mmap (MAP_SHARED) with one ArrayBuffer over it, at most 4 GiB (-EFBIG). Throws nothing: errno tells (0: good). */
  Window: new (
    fd: number,
    offset: number,
    length: number,
    writable: boolean,
  ) => NativeWindow

  // The table
  /** A shared mapping whose loads and stores survive a bad page or a truncated file (-EFAULT) instead of killing the process. */
  TableMap: new (
    fd: number,
    offset: number,
    length: number,
  ) => NativeTableMap
  /** Copy of bytes that can only be mapped, in pages of pageBytes, at most 1 MiB. A number is -errno: -EFAULT for pages that are not there, -EHWPOISON for bad memory. */
  mappedRead(fd: number, offset: number, length: number, pageBytes: number): Buffer | number

  /** CRC32C (Castagnoli) of bytes, continuing from initial (0 at first). */
  crc32c(bytes: Uint8Array, initial: number): number
  /** The same without the processor's own instruction for it. */
  crc32cPortable(bytes: Uint8Array, initial: number): number
  /** BLAKE3, 32 bytes. lanesMax (16, 8, 4, 1): chunks hashed at once, as far as the processor can. */
  blake3(bytes: Uint8Array, lanesMax: number): Buffer
}

/** errno 0: it is bound. -EPROTO: the kernel took a value, and another is read back. */
export interface NewDaxDevice {
  readonly errno: number
  /** What failed, for people: "writing '1' to FILE". */
  readonly doing: string
  /** '' while there is none. */
  readonly name: string
  /** st_rdev of its node, once it is bound. */
  readonly device: number
}

/** Keeps the event loop alive until it is closed or has ended. close() is idempotent, and no callback comes after it. */
export interface Closable {
  close(): void
}

export interface NativeListener extends Closable {
  pause(): void
  resume(): void
}

export interface SocketEvents {
  /**
   * bytes are the callee's own copy. fds arrived with this read and are the callee's to close. The kernel ends a read
   * after the write that carried descriptors, so they belong to the last message that begins in bytes.
   */
  onData(bytes: Buffer, fds: number[]): void
  /** Once; errno 0: the peer closed in order. EPROTO: descriptors were truncated (MSG_CTRUNC). The socket is closed already. */
  onEnd(errno: number): void
  /** The write queue, which had been non-empty, is empty again. */
  onDrain(): void
  /**
   * The peer sends no more and goes on reading (shutdown(2)). Only who answers calls gives this: then onEnd comes as soon
   * as the peer has closed, and what it sent before and is not read yet never is; and a read brings at most 8 KiB.
   * Without it, all that was sent is read first, and the end of what the peer sends is the end.
   */
  onFinish?(): void
}

export interface NativeReadableWatch extends Closable {
  again(): void
}

export interface NativeSocket extends Closable {
  /**
   * Queue bytes, with fds attached to their first byte, and write what the kernel takes now. Adopts fds: they are
   * closed once sent, and on failure. Returns the bytes still queued (0: all sent) or -errno after the end, and
   * -EINVAL (nothing sent, still open) for more than 253 fds or fds without bytes, -EBADF for an fd that is not open.
   */
  send(bytes: Uint8Array, fds: readonly number[]): number
  readonly queuedBytes: number
  /** Descriptors of queued bytes, which are still open. */
  readonly queuedFds: number
  /** No onData, and no onEnd before resume() unless writing fails or, with onFinish, the peer has closed. */
  pause(): void
  resume(): void
  /** pidfd is -1 where neither SO_PEERPIDFD nor pidfd_open work; else the caller's to close. A number is -errno. */
  peer(): { pid: number; uid: number; gid: number; pidfd: number } | number
}

/** Work over a part of a file, on threads of its own that give way to others (nice). */
export interface NativeSweep {
  /**
   * Settles with 0 or -errno: -EHWPOISON when all was done but what bad() tells, -EFAULT for pages that are not there
   * (a truncated file, a device taken away), -ECANCELED, or why it could not begin. Never rejects.
   */
  readonly errno: Promise<number>
  bytesDone(): number
  /** Returns at once; errno settles when the threads have stopped. */
  cancel(): void
  /** When errno has settled: memory that has failed, in order, from the sweep's start on. It was stepped over. */
  bad(): Array<{ offset: number; length: number }>
}

export interface NativeDigest extends NativeSweep {
  /** When errno has settled with 0: 32 bytes. */
  hash(): Buffer | undefined
}

export interface NativeWindow {
  readonly errno: number
  readonly buffer: ArrayBuffer
  /** Address of the mapping in this process, for ioctl users; 0 after revoke(). */
  readonly address: bigint
  /** Detach the buffer, put anonymous pages in its place, and give the address range back once thread-pool work in flight is over. Idempotent. */
  revoke(): void
}

export interface NativeTableMap extends Closable {
  readonly errno: number
  /** Copy out; a number is -errno: -ERANGE outside the mapping, -EBADF after close(). */
  read(offset: number, length: number): Buffer | number
  write(offset: number, bytes: Uint8Array): number
  /** All earlier writes, then one aligned 8-byte store (low word, high word), then a fence. */
  publish(offset: number, low: number, high: number): number
}
