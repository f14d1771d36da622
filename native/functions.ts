import { availableParallelism, constants } from 'node:os'
import type {
  NativeDigest,
  NativeListener,
  NativeSocket,
  NativeSweep,
  NativeTableMap,
  NativeWindow,
  NewDaxDevice,
} from './addon'
import { loadAddon } from './load'
import { check, SystemError } from './system-error'

const addon = loadAddon()

/** ETOOMANYREFS, which node:os has not: the user's descriptors in sockets that nobody has read yet are too many. */
const tooManyInFlight = 109

/** A listening socket. A path that begins with NUL is an abstract address. Throws EADDRINUSE where a file is in the way. */
export function listenUnix(path: string, backlog: number): number {
  return check('listen', addon.listenUnix(path, backlog))
}

/** A connected socket. Throws EAGAIN when the listener's backlog is full. */
export function connectUnix(path: string): number {
  return check('connect', addon.connectUnix(path))
}

/**
 * One datagram to the socket at a path (an abstract address begins with NUL), with copies of descriptors. Never waits:
 * false when the receiver's queue is full.
 */
export function sendDatagram(path: string, text: string, fds: readonly number[]): boolean {
  const result = addon.sendDatagram(path, text, fds)
  if (-result === constants.errno.EAGAIN || -result === tooManyInFlight) return false
  return check('sendmsg', result) === 0
}

export function socketPair(): [number, number] {
  const pair = addon.socketPair()
  if (typeof pair === 'number') throw new SystemError('socketpair', pair)
  return pair
}

/** The process at the other end of a connection. pidfd is the caller's to close; -1: it is gone. */
export function peerOf(fd: number): Exclude<ReturnType<NativeSocket['peer']>, number> {
  const peer = addon.peerOf(fd)
  if (typeof peer === 'number') throw new SystemError('getsockopt', peer)
  return peer
}

/** The uid of the process at the other end of a connection. */
export function peerUid(fd: number): number {
  return check('getsockopt', addon.peerUid(fd))
}

/**
 * Make a listening Unix stream socket that another process made like one of listenUnix; gives its path, which begins
 * with NUL where it is an abstract address. Throws EINVAL for any other descriptor.
 */
export function adoptListener(fd: number): string {
  const path = addon.adoptListener(fd)
  if (typeof path === 'number') throw new SystemError('getsockname', path)
  return path
}

/** Throws ESRCH when there is no such process. */
export function pidfdOpen(pid: number): number {
  return check('pidfd_open', addon.pidfdOpen(pid))
}

export function pidfdSendSignal(pidfd: number, signal: number): void {
  check('pidfd_send_signal', addon.pidfdSendSignal(pidfd, signal))
}

/** Whether the process of a pidfd has not exited yet. */
export function isAlive(pidfd: number): boolean {
  return check('poll', addon.isAlive(pidfd)) === 1
}

/**
 * Replace this process by another program, looked up in this process' PATH, with descriptors moved to the numbers
 * given and not close-on-exec. Returns only by throwing, with everything as before.
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
 * Starts the program of a descriptor with a socket as its 3 and a file as its 4; nothing else of this process but the
 * standard error stream. Its exit is to be followed by reap().
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

/** Ends a zombie of spawnWorker. Throws EAGAIN when it has not ended. */
export function reap(pid: number): void {
  check('waitpid', addon.reap(pid))
}

/** Close-on-exec and mode 0600. hugePageBytes 0: ordinary pages. */
export function memfdCreate(name: string, options: { hugePageBytes: number; allowSealing: boolean }): number {
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
 * Writes what a pipe, a socket, a terminal or a file takes without waiting, at most 4 KiB; the descriptor may be
 * a blocking one, and stays it. Bytes written; 0 when it takes nothing now. Throws EPIPE when nobody reads any more.
 */
export function writeNonblocking(fd: number, bytes: Uint8Array): number {
  const written = addon.writeNonblocking(fd, bytes)
  return written === -constants.errno.EAGAIN ? 0 : check('write', written)
}

/** Rejects with ENOSPC when the filesystem is full. */
export async function fallocate(fd: number, offset: number, length: number): Promise<void> {
  check('fallocate', await addon.fallocate(fd, offset, length))
}

export async function punchHole(fd: number, offset: number, length: number): Promise<void> {
  check('fallocate', await addon.punchHole(fd, offset, length))
}

/**
 * Whether fd is the only open file description of its file anywhere, so that no other descriptor and no mapping of it
 * exists. Copies of fd itself (dup, fork, SCM_RIGHTS) and mappings made through it are the same description and not
 * seen: ask with one that was never given away nor mapped.
 */
export function isSoleOpener(fd: number): boolean {
  return check('fcntl', addon.isSoleOpener(fd)) === 1
}

/** Exclusive open-file-description lock on the whole file, released with the last fd. Throws EAGAIN when another holds it. */
export function lockFile(fd: number): void {
  check('fcntl', addon.lockFile(fd))
}

/** Mounts an empty tmpfs, mode 0700, that is not propagated to other mount namespaces. */
export function mountPrivate(path: string): void {
  check('mount', addon.mountPrivate(path))
}

/**
 * The same in a new directory, with a character device of that name in it, mode 0600, device as st_rdev has it. All or
 * nothing; throws EEXIST where there is a directory.
 */
export function mountNode(path: string, name: string, device: number, uid: number): void {
  check('mount', addon.mountNode(path, name, device, uid))
}

/** Mounts a file over another, not propagated either. */
export function bindPrivate(file: string, path: string): void {
  check('mount', addon.bindPrivate(file, path))
}

/**
 * Whether nothing anywhere is open by way of this mount: the kernel counts every open file description, be it mapped,
 * in flight on a socket, or registered with io_uring. Of this mount namespace; a copy of it has mounts of its own.
 */
export function isMountIdle(path: string): boolean {
  return check('umount2', addon.isMountIdle(path)) === 1
}

/** Throws EBUSY, without detach, while something is open by way of it. */
export function unmount(path: string, { detach }: { detach: boolean }): void {
  check('umount2', addon.unmount(path, detach))
}

/** A character device with mode 0600; device as st_rdev has it. */
export function makeNode(path: string, device: number): void {
  check('mknod', addon.makeNode(path, device))
}

/**
 * Make a device in a region (the directory with dax_region in it), give it these extents (physical addresses), read back
 * that it has them, and bind it to the driver (its directory in sysfs). Its node in the directory nodes is root's alone.
 * Throws nothing: errno tells, and the device is left as it is when a step fails.
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

/** A pipe that holds the last page of mapBytes of the file: the page itself, no copy. Nothing stays mapped. */
export function spliceToPipe(fd: number, offset: number, mapBytes: number): number {
  return check('vmsplice', addon.spliceToPipe(fd, offset, mapBytes))
}

/** Overwrite with zeros on threads of its own; for progress, cancelling and bad memory use Scrub. */
export async function scrub(
  fd: number,
  offset: number,
  length: number,
  threads = availableParallelism(),
): Promise<void> {
  check('scrub', await new addon.Scrub(fd, offset, length, threads).errno)
}

/** Copy of bytes that can only be mapped, in pages of pageBytes, at most 1 MiB. Throws EFAULT, EHWPOISON for bad memory. */
export function mappedRead(fd: number, offset: number, length: number, pageBytes: number): Buffer {
  const bytes = addon.mappedRead(fd, offset, length, pageBytes)
  if (typeof bytes === 'number') throw new SystemError('mmap', bytes)
  return bytes
}

/** CRC32C (Castagnoli) of bytes, continuing from initial. */
export function crc32c(bytes: Uint8Array, initial = 0): number {
  return addon.crc32c(bytes, initial)
}

/** The same without the processor's own instruction for it. */
export function crc32cPortable(bytes: Uint8Array, initial = 0): number {
  return addon.crc32cPortable(bytes, initial)
}

/** BLAKE3 of bytes, 32 bytes; lanesMax: how many of its chunks are hashed at once, where the processor can. */
export function blake3(bytes: Uint8Array, lanesMax = 16): Buffer {
  return addon.blake3(bytes, lanesMax)
}

// The classes are the addon's own; addon.ts documents them.
export const { Socket, Listener, ExitWatch, ReadableWatch, Scrub, Digest, Window, TableMap } = addon
export type Socket = NativeSocket
export type Listener = NativeListener
export type Scrub = NativeSweep
export type Digest = NativeDigest
export type Window = NativeWindow
export type TableMap = NativeTableMap
