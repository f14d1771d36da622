import { availableParallelism, constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'
import type {
  MemfdOptions,
  NativeDigest,
  NativeListener,
  NativeSocket,
  NativeSweep,
  NativeTableMap,
  NativeWindow,
  NewDaxDevice,
} from './addon'
import { loadAddon } from './load'

const addon = loadAddon()

/** ETOOMANYREFS, which node:os lacks: this user has too many descriptors in sockets that nobody has read yet. */
const tooManyInFlight = 109

// Unix sockets. Descriptors are non-blocking and close-on-exec.

/**
 * A listening stream socket. A path that begins with NUL is an abstract address. Throws EADDRINUSE where a file is in
 * the way.
 */
export function listenUnix(path: string, backlog: number): number {
  return check('listen', addon.listenUnix(path, backlog))
}

/** A connected stream socket. Throws EAGAIN when the listener's backlog is full. */
export function connectUnix(path: string): number {
  return check('connect', addon.connectUnix(path))
}

/**
 * Sends one datagram to the socket at a path (an abstract address begins with NUL), with copies of fds, which stay the
 * caller's. It never waits. False: the receiver's queue is full, or this user has too many descriptors in flight.
 */
export function sendDatagram(path: string, text: string, fds: readonly number[]): boolean {
  const result = addon.sendDatagram(path, text, fds)
  if (-result === constants.errno.EAGAIN || -result === tooManyInFlight) return false
  return check('sendmsg', result) === 0
}

/** Two stream sockets, connected to each other. */
export function socketPair(): [number, number] {
  const pair = addon.socketPair()
  if (typeof pair === 'number') throw new SystemError('socketpair', pair)
  return pair
}

/** Drops what waits to be read from a socket, with its descriptors. Returns the bytes. */
export function discardUnread(socket: number): number {
  return addon.discardUnread(socket)
}

/**
 * The process that connected, or that listens, at the other end of a connection; fd needs no Socket. pidfd is the
 * caller's to close. It is -1 where the process is gone, or where the kernel gives none (neither SO_PEERPIDFD nor
 * pidfd_open).
 */
export function peerOf(fd: number): Exclude<ReturnType<NativeSocket['peer']>, number> {
  const peer = addon.peerOf(fd)
  if (typeof peer === 'number') throw new SystemError('getsockopt', peer)
  return peer
}

/** The uid alone of peerOf. */
export function peerUid(fd: number): number {
  return check('getsockopt', addon.peerUid(fd))
}

/**
 * Makes a listening Unix stream socket that another process made like one of listenUnix, and returns its path, which
 * begins with NUL where it is an abstract address, and is '' where it has none. Throws EINVAL for any other descriptor.
 */
export function adoptListener(fd: number): string {
  const path = addon.adoptListener(fd)
  if (typeof path === 'number') throw new SystemError('getsockname', path)
  return path
}

/**
 * A tap device of the network, by its name; the kernel makes one where there is none and this process may. Throws EBUSY
 * where a process has it open, and EINVAL where its flags are others, or the name is one of another kind of device.
 */
export function openTap(name: string, vnetHeader: boolean): number {
  return check('TUNSETIFF', addon.openTap(name, vnetHeader))
}

/** The length of the header before each packet of a tap device. It is the device's, so all who have it open share it. */
export function tapHeaderBytes(fd: number): number {
  return check('TUNGETVNETHDRSZ', addon.tapHeaderBytes(fd))
}

export function setTapHeaderBytes(fd: number, bytes: number): void {
  check('TUNSETVNETHDRSZ', addon.setTapHeaderBytes(fd, bytes))
}

/**
 * Sets the work that the kernel leaves to the readers of a tap device, such as checksums and segmentation: flags of TUNSETOFFLOAD. Throws
 * ENODEV where the device is in another network namespace.
 */
export function tapOffloads(fd: number): number {
  return check('SIOCETHTOOL', addon.tapOffloads(fd))
}

export function setTapOffloads(fd: number, flags: number): void {
  check('TUNSETOFFLOAD', addon.setTapOffloads(fd, flags))
}

// Processes

/**
 * Throws ESRCH when there is no such process, and also for the number of a thread, or of a process that is about to
 * end, where kernels give EINVAL or ENOENT.
 */
export function pidfdOpen(pid: number): number {
  return check('pidfd_open', addon.pidfdOpen(pid))
}

export function pidfdSendSignal(pidfd: number, signal: number): void {
  check('pidfd_send_signal', addon.pidfdSendSignal(pidfd, signal))
}

/** Whether the process of a pidfd has not exited. */
export function isAlive(pidfd: number): boolean {
  return check('poll', addon.isAlive(pidfd)) === 1
}

/**
 * A descriptor of the open file that another process has under the number fd. Throws EBADF where it has none of that number, ESRCH
 * where it has ended, and EPERM where this process may not trace it.
 */
export function pidfdGetfd(pidfd: number, fd: number): number {
  return check('pidfd_getfd', addon.pidfdGetfd(pidfd, fd))
}

/**
 * Replaces this process by another program, which it finds in this process' PATH. The program gets descriptors under
 * the given numbers, the standard streams, and no others (Node marks all it inherits close-on-exec); a source may be
 * the target of another move. Signals that Node ignores are back at their defaults. Returns only by throwing, with
 * descriptors, signals and modes as before.
 */
export function exec(
  file: string,
  argv: string[],
  environment: string[],
  fds: ReadonlyArray<{ from: number; to: number }>,
): never {
  throw new SystemError('execve', addon.exec(file, argv, environment, fds))
}

/**
 * Starts the program of the descriptor executable. It gets socket as its descriptor 3, area as its 4, the standard
 * error stream, and no other descriptor of this process. pidfd is the caller's, who calls reap() once that says that
 * the program has ended.
 */
export function spawnWorker(
  executable: number,
  socket: number,
  area: number,
): { pid: number; pidfd: number } {
  const spawned = addon.spawnWorker(executable, socket, area)
  if (typeof spawned === 'number') throw new SystemError('posix_spawn', spawned)
  return spawned
}

/** Removes a zombie of spawnWorker. Throws EAGAIN while the program runs. */
export function reap(pid: number): void {
  check('waitpid', addon.reap(pid))
}

// Files and memory

/** A memory file, close-on-exec and with mode 0600. Throws EACCES for staysWritable under vm.memfd_noexec=2. */
export function memfdCreate(name: string, options: MemfdOptions): number {
  return check('memfd_create', addon.memfdCreate(name, options))
}

/** Throws EBUSY for F_SEAL_WRITE while a writable mapping exists anywhere. */
export function addSeals(fd: number, seals: number): void {
  check('fcntl', addon.addSeals(fd, seals))
}

export function getSeals(fd: number): number {
  return check('fcntl', addon.getSeals(fd))
}

/** A new open file description of the same file, by /proc/self/fd. */
export function reopen(fd: number, writable: boolean): number {
  return check('open', addon.reopen(fd, writable))
}

/** The same open file description under another number, close-on-exec. */
export function dupFd(fd: number): number {
  return check('fcntl', addon.dupFd(fd))
}

/**
 * Writes what a pipe, a socket, a terminal or a file takes without waiting, at most 4 KiB. The descriptor may be a
 * blocking one that others share, and stays so. Returns the bytes written: 0 when it takes nothing now. Throws EPIPE
 * when nobody reads any more.
 */
export function writeNonblocking(fd: number, bytes: Uint8Array): number {
  const written = addon.writeNonblocking(fd, bytes)
  return written === -constants.errno.EAGAIN ? 0 : check('write', written)
}

/** Runs on libuv's thread pool. Rejects with ENOSPC when the filesystem is full. */
export async function fallocate(fd: number, offset: number, length: number): Promise<void> {
  check('fallocate', await addon.fallocate(fd, offset, length))
}

/** Runs on libuv's thread pool. */
export async function punchHole(fd: number, offset: number, length: number): Promise<void> {
  check('fallocate', await addon.punchHole(fd, offset, length))
}

/** Whether the kernel maps the memory of a file's device itself (DAX), not copies of it in the page cache. */
export function isDirectAccess(file: string): boolean {
  return check('statx', addon.isDirectAccess(file)) === 1
}

/**
 * Whether fd is the only open file description of its file anywhere, so that no other descriptor and no mapping of it
 * exists: only then the kernel grants a write lease. Copies of fd itself (dup, fork, SCM_RIGHTS) and mappings made
 * through it are the same description, and the kernel does not count them: ask with one that this process never gave
 * away nor mapped. It needs the file's own uid or CAP_LEASE.
 */
export function isSoleOpener(fd: number): boolean {
  return check('fcntl', addon.isSoleOpener(fd)) === 1
}

/**
 * Opens a file for writing and asks isSoleOpener() of it. undefined: it is not the sole opener, or the file can't be opened or
 * asked, for whatever reason. One call in place of three.
 */
export function openSole(path: string): number | undefined {
  const fd = addon.openSole(path)
  return fd < 0 ? undefined : fd
}

/**
 * Takes an exclusive open-file-description lock on a part of a file, by default the whole, until the last fd is closed. Throws EAGAIN
 * when another holds a byte of it.
 */
export function lockFile(fd: number, offset = 0, length = 0): void {
  check('fcntl', addon.lockFile(fd, offset, length))
}

/**
 * Why the kernel could not write some of the file to its disk (EIO, ENOSPC, EDQUOT) since it was opened. Each opening tells of it once,
 * also where others of the file have told already. Waits for nothing.
 */
export function takeWriteError(fd: number): SystemError | undefined {
  const result = addon.takeWriteError(fd)
  return result < 0 ? new SystemError('sync_file_range', result) : undefined
}

/**
 * An inotify descriptor, which never blocks: it has a notice (IN_MODIFY) of each write to a file of the directory, and of each
 * change of a file's size. Throws EMFILE or ENOSPC where this user has too many of them.
 */
export function watchWrites(directory: string): number {
  return check('inotify_add_watch', addon.watchWrites(directory))
}

// The kernel's Live Update Orchestrator. device: /dev/liveupdate, which one process at a time has open. A session is a
// descriptor; the memfds that it preserves live on in the next kernel if a copy of it is open when kexec begins.

/** What came of each of many: what was asked for, or why not. */
export type Results<T> = (T | SystemError)[]

/** New sessions with names of at most 63 bytes. EEXIST: one has that name. */
export function createLiveSessions(device: number, names: readonly string[]): Results<number> {
  return addon.createLiveSessions(device, names).map(resultOf)
}

/**
 * Sessions of the kernel before. Once the last copy of one is closed, the kernel frees those of its files that nobody has
 * retrieved. undefined: there is none of this name; callers ask for a thousand that may be. EINVAL: it is open already.
 */
export function retrieveLiveSessions(device: number, names: readonly string[]): Results<number | undefined> {
  return addon
    .retrieveLiveSessions(device, names)
    .map(result => (result === -constants.errno.ENOENT ? undefined : resultOf(result)))
}

/** Throws ENOTTY or EINVAL for any other descriptor. */
export function liveSessionName(session: number): string {
  const name = addon.liveSessionName(session)
  if (typeof name === 'number') throw new SystemError('ioctl', name)
  return name
}

// On libuv's thread pool, for many sessions, whose descriptors stay open until it is done.

/** Adds a file to each session, under a token. The kernel takes the inode's lock, which whoever has the file open can keep. */
export async function preserveFiles(
  sessions: readonly number[],
  files: readonly number[],
  token: number,
): Promise<Results<number>> {
  return (await addon.preserveFiles(sessions, files, token)).map(resultOf)
}

/** The memfds that retrieved sessions have under a token. The caller owns the descriptors. */
export async function retrieveFiles(sessions: readonly number[], token: number): Promise<Results<number>> {
  return (await addon.retrieveFiles(sessions, token)).map(resultOf)
}

/** Ends retrieved sessions, whoever has copies of them. */
export async function finishLiveSessions(sessions: readonly number[]): Promise<Results<number>> {
  return (await addon.finishLiveSessions(sessions)).map(resultOf)
}

const resultOf = (result: number) => (result < 0 ? new SystemError('ioctl', result) : result)

// Mounts. For root.

/** Mounts an empty tmpfs, mode 0700, that the kernel does not propagate to other mount namespaces. */
export function mountPrivate(path: string): void {
  check('mount', addon.mountPrivate(path))
}

/**
 * Makes the directory path, mounts such a tmpfs there, and makes a character device in it: called name, owned by uid,
 * mode 0600, device as st_rdev has it. All or nothing. Throws EEXIST where path exists.
 */
export function mountNode(path: string, name: string, device: number, uid: number): void {
  check('mount', addon.mountNode(path, name, device, uid))
}

/** Mounts a file over another, and the kernel does not propagate that either. */
export function bindPrivate(file: string, path: string): void {
  check('mount', addon.bindPrivate(file, path))
}

/**
 * Gives the calling thread, and each program that it becomes, a mount namespace of its own. Later mounts of the host reach
 * it, and its own reach nobody. Other threads stay where they are. Throws EPERM without CAP_SYS_ADMIN.
 */
export function unshareMounts(): void {
  check('unshare', addon.unshareMounts())
}

/**
 * Mounts one file over another, both open, with O_PATH too, in this mount namespace. Throws EINVAL where a descriptor
 * comes from another one.
 */
export function bindFile(file: number, place: number, { writable }: { writable: boolean }): void {
  check('move_mount', addon.bindFile(file, place, writable))
}

/**
 * Whether nothing anywhere is open by way of this mount. The kernel counts every open file description and path:
 * mapped, in flight on a socket, registered with io_uring, or opened with O_PATH. It counts for the mount in this mount
 * namespace; a copy of the namespace has mounts of its own.
 */
export function isMountIdle(path: string): boolean {
  return check('umount2', addon.isMountIdle(path)) === 1
}

/** Without detach, it throws EBUSY while something is open by way of the mount. */
export function unmount(path: string, { detach }: { detach: boolean }): void {
  check('umount2', addon.unmount(path, detach))
}

/** Makes a character device with mode 0600; device as st_rdev has it. */
export function makeNode(path: string, device: number): void {
  check('mknod', addon.makeNode(path, device))
}

// Device-DAX, by sysfs. For root; each write blocks for as long as the kernel likes.

/**
 * Makes a device in a region (the directory with dax_region in it), gives it these extents (physical addresses, end
 * exclusive), reads back that it has them and nothing else, and only then binds it to the driver (its directory in
 * sysfs). It makes the device's node in the directory nodes root's alone. It throws nothing: when a step fails, errno
 * and doing say which, and the device stays as it is.
 */
export function makeDaxDevice(
  region: string,
  driver: string,
  nodes: string,
  extents: ReadonlyArray<{ start: number; end: number }>,
  alignBytes: number,
): NewDaxDevice {
  return addon.makeDaxDevice(region, driver, nodes, extents, alignBytes)
}

/** A device of the bus (its directory in sysfs) that has memory and no driver. */
export function findUnboundDax(bus: string): string | undefined {
  const name = addon.findUnboundDax(bus)
  if (typeof name === 'number') throw new SystemError('readdir', name)
  return name || undefined
}

/** A pipe that holds the last page of the mapBytes at offset: the file's page itself, no copy. Nothing stays mapped. */
export function spliceToPipe(fd: number, offset: number, mapBytes: number): number {
  return check('vmsplice', addon.spliceToPipe(fd, offset, mapBytes))
}

// Contents

/** Overwrites with zeros, as Scrub does, which also gives progress, bad memory, and a way to cancel. */
export async function scrub(
  fd: number,
  offset: number,
  length: number,
  threads = availableParallelism(),
): Promise<void> {
  check('scrub', await new addon.Scrub(fd, offset, length, threads).errno)
}

/**
 * A copy of at most 1 MiB of a file that can only be mapped, in pages of pageBytes. Throws EFAULT for pages that are
 * missing, EHWPOISON for bad memory.
 */
export function mappedRead(fd: number, offset: number, length: number, pageBytes: number): Buffer {
  const bytes = addon.mappedRead(fd, offset, length, pageBytes)
  if (typeof bytes === 'number') throw new SystemError('mmap', bytes)
  return bytes
}

/** CRC32C (Castagnoli; reflected, inverted in and out) of bytes, continuing from initial: 0 at first. */
export function crc32c(bytes: Uint8Array, initial = 0): number {
  return addon.crc32c(bytes, initial)
}

/** The same without the processor's own instruction for it. */
export function crc32cPortable(bytes: Uint8Array, initial = 0): number {
  return addon.crc32cPortable(bytes, initial)
}

/**
 * BLAKE3 of bytes, 32 bytes. lanesMax (16, 8, 4, 1): it hashes at most so many chunks at once, fewer where the
 * processor can't.
 */
export function blake3(bytes: Uint8Array, lanesMax = 16): Buffer {
  return addon.blake3(bytes, lanesMax)
}

// The addon's own classes; addon.ts documents them.
export const { Socket, Listener, ExitWatch, ReadableWatch, Scrub, Digest, Window, TableMap } = addon
export type Socket = NativeSocket
export type Listener = NativeListener
export type Scrub = NativeSweep
export type Digest = NativeDigest
export type Window = NativeWindow
export type TableMap = NativeTableMap

// Errors

/** A system call failed. */
/** Node makes a new map of all errors at each call: 25 microseconds. */
let errors: ReturnType<typeof getSystemErrorMap> | undefined

export class SystemError extends Error {
  /** The errno's name: 'EAGAIN'. */
  readonly code: string
  /** Negative, as in Node's own system errors. */
  readonly errno: number
  readonly syscall: string

  /** errno may have either sign. */
  constructor(syscall: string, errno: number) {
    const number = -Math.abs(errno)
    errors ??= getSystemErrorMap()
    const [code, text] = errors.get(number) ?? [`E${-number}`, 'unknown error']
    super(`${syscall}: ${code}, ${text}`)
    this.name = 'SystemError'
    this.code = code
    this.errno = number
    this.syscall = syscall
  }
}

/** result, unless it is a -errno: then a SystemError. */
export function check(syscall: string, result: number): number {
  if (result < 0) throw new SystemError(syscall, result)
  return result
}
