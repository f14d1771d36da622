import { close, readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { launcherFile, native, type SystemError } from '../../../../native'
import { sourceOf } from '../../../../protocol/source'
import { formatSize, KiB } from '../../../../protocol/units'
import { abortable } from '../../abort'
import type { Range } from '../../index'
import { ending, type Program, run, start } from '../update/program'

/** The file of some memory. */
export interface MemoryFile {
  /** The allocation's. */
  readonly name: string
  /** A descriptor of this process, or of another one. */
  readonly file: number | ForeignFd
}

interface ForeignFd {
  readonly pid: number
  readonly fd: number
}

export interface Limits {
  readonly ms: number
  readonly signal?: AbortSignal | undefined
}

interface SyncOptions extends Limits {
  readonly progress?: ((text: string) => void) | undefined
}

/** Filesystems in memory, by their magic numbers: tmpfs, hugetlbfs. */
const inMemory = new Set([0x01021994, 0x958458f6])
const firstInheritedFd = 3
const progressMs = 5_000
/** A filesystem in memory or on a disk answers at once. One that a server has may not. */
const statfsMsMax = 10_000

/**
 * Whether memory of the range may lie on a disk, to which the kernel writes it in its own time: a power cut, or a kexec without a
 * sync, loses what has not been synced.
 */
export function mayBeOnDisk({ source, capabilities }: Range): boolean {
  return sourceOf(source)?.files === 'inFolder' && !capabilities.survivesKexec
}

/**
 * Has the kernel write files to their disks once more, by the next syncFiles(). Once it has told of a failed write, it takes what it
 * could not write for written, and tells nobody again.
 * @throws Error that names the memory
 */
export function rewriteFiles(files: readonly MemoryFile[], limits: Limits): Promise<void> {
  return overFiles(files, '--rewrite', "can't be written to the disk once more", limits)
}

/**
 * Looks whether the disks have what the files have, which nobody changes meanwhile. After a failed write ext4 takes a block that it
 * wrote for the first time for unwritten, also when a later write of it succeeds.
 * @throws Error that names the memory
 */
export function compareFiles(files: readonly MemoryFile[], limits: Limits): Promise<void> {
  return overFiles(files, '--compare', 'is not on the disk, after an earlier failure of that', limits)
}

/**
 * Looks whether the kernel has failed to write files of another process to their disks, since that opened them and was asked last. It
 * tells each opening of a file by itself: so others who have synced the file hide nothing from this.
 * @returns why this process may not look. undefined: it has looked
 * @throws Error that names the memory: a write has failed, or the other process does not have the file
 */
export async function checkWritten(files: readonly MemoryFile[], ms: number): Promise<string | undefined> {
  const failures: string[] = []
  let hidden: string | undefined
  for (const { name, file } of await onDisks(files, ms)) {
    if (typeof file === 'number') continue
    try {
      const error = takeWriteError(file)
      if (error) failures.push(`${name}: a write to its disk has failed (${error.code})`)
    } catch (error) {
      const { code, message } = error as SystemError
      if (code === 'EPERM' || code === 'ENOSYS') hidden = message
      else failures.push(`${name}: nobody can see whether writes to its disk have failed (${message})`)
    }
  }
  if (failures.length > 0) throw new Error(failures.join('; '))
  return hidden
}

/** undefined: none has failed. @throws SystemError */
function takeWriteError({ pid, fd }: ForeignFd): SystemError | undefined {
  const opened: number[] = []
  try {
    const pidfd = native.pidfdOpen(pid)
    opened.push(pidfd)
    const borrowed = native.pidfdGetfd(pidfd, fd)
    opened.push(borrowed)
    return native.takeWriteError(borrowed)
  } finally {
    // Closing a file of a network filesystem writes it.
    for (const one of opened) close(one, () => {})
  }
}

async function overFiles(
  files: readonly MemoryFile[],
  how: string,
  what: string,
  { ms, signal }: Limits,
): Promise<void> {
  const deadline = performance.now() + ms
  const leftMs = () => Math.max(0, deadline - performance.now())
  for (const one of await onDisks(files, ms)) {
    const { places, fds } = placesOf([one])
    await run([launcherFile(), how, ...places], 'SyncFailed', leftMs(), signal, fds).catch(error => {
      throw new Error(`${one.name} ${what}: ${error.message}`)
    })
  }
}

/**
 * Resolves when these files are on their disks, with whatever any process has stored into its mappings of them. Files that are on
 * no disk take no time. A disk that hangs does not hang this process.
 * @param what also everything else of their filesystems, such as names, sizes and the broker's table
 * @returns whether any is on a disk
 * @throws Error that names the memory
 */
export async function syncFiles(
  files: readonly MemoryFile[],
  what: 'contents' | 'filesystems',
  { ms, signal, progress }: SyncOptions,
): Promise<boolean> {
  const there = await onDisks(files, ms)
  if (there.length === 0) return false
  const { places, fds } = placesOf(there)
  const names = there.map(({ name }) => name).join(' and ')
  const telling = setInterval(() => {
    progress?.(`${names}: the host has yet to write ${formatSize(unwrittenBytes())} to its disks`)
  }, progressMs)
  try {
    await run(
      ['sync', what === 'contents' ? '--data' : '--file-system', ...places],
      'SyncFailed',
      ms,
      signal,
      fds,
    )
    return true
  } catch (error) {
    throw new Error(`${names} can't be written to the disk: ${(error as Error).message}`)
  } finally {
    clearInterval(telling)
  }
}

/**
 * Stores into one file on a disk. A program does it, so a disk that hangs does not hang this process: through a mapping or by a call
 * of its own, it would.
 */
export class DiskStores {
  /** What hangs may still come to the file, so what is stored next waits for its end. */
  private last: Promise<unknown> = Promise.resolve()

  /**
   * Resolves when the bytes are on the disk.
   * @param find looks the file up once it is this store's turn, or throws
   * @throws Error that names the memory; then they may be, or may come to be
   */
  async store(
    name: string,
    find: () => MemoryFile,
    offset: number,
    bytes: Uint8Array,
    limits: Limits,
  ): Promise<void> {
    const how = ['bs=1M', 'iflag=fullblock', 'oflag=seek_bytes', 'conv=notrunc,fdatasync', 'status=none']
    let program: Program | undefined
    let isLate = false
    const ended = this.last.then(() => {
      if (isLate) return { good: false, sentence: 'too late' }
      const { places, fds } = placesOf([find()])
      // Its words are looked at, so nobody translates them.
      program = start(['env', 'LC_ALL=C', 'dd', `of=${places[0]}`, `seek=${offset}`, ...how], fds, bytes)
      return program.ended
    })
    this.last = ended.catch(() => {})
    const kill = () => {
      isLate = true
      program?.kill()
    }
    try {
      await ending({ name: 'dd, or one before it,', ended, kill }, 'StoreFailed', limits.ms, limits.signal)
    } catch (error) {
      throw new Error(`${name} can't be written to the disk: ${(error as Error).message}`)
    }
  }
}

/** For a program, and the descriptors that it inherits. */
function placesOf(files: readonly MemoryFile[]): { places: string[]; fds: number[] } {
  const fds = files.flatMap(({ file }) => (typeof file === 'number' ? [file] : []))
  const places = files.map(({ file }) =>
    typeof file === 'number' ? `/proc/self/fd/${firstInheritedFd + fds.indexOf(file)}` : pathOf(file),
  )
  return { places, fds }
}

/** Of this process, and of its children. */
function pathOf({ pid, fd }: ForeignFd): string {
  return `/proc/${pid}/fd/${fd}`
}

async function onDisks(files: readonly MemoryFile[], ms: number): Promise<MemoryFile[]> {
  const there: MemoryFile[] = []
  for (const file of files) if (await isOnDisk(file, ms)) there.push(file)
  return there
}

/** @throws Error that names the memory */
export async function isOnDisk({ name, file }: MemoryFile, ms = statfsMsMax): Promise<boolean> {
  const late = AbortSignal.timeout(Math.min(Math.ceil(ms), statfsMsMax))
  try {
    const { type } = await abortable(
      statfs(typeof file === 'number' ? `/proc/self/fd/${file}` : pathOf(file)),
      late,
    )
    return !inMemory.has(type)
  } catch (error) {
    const why = !late.aborted
      ? (error as Error).message
      : ms < statfsMsMax
        ? 'the deadline is over'
        : 'its filesystem does not answer'
    throw new Error(`nobody can see whether ${name} is on a disk: ${why}`)
  }
}

/** What the kernel has not written to the disks of this host. */
function unwrittenBytes(): number {
  const counts = readFileSync('/proc/meminfo', 'latin1').matchAll(/^(?:Dirty|Writeback): +(\d+) kB$/gm)
  return [...counts].reduce((sum, [, kib]) => sum + Number(kib) * KiB, 0)
}
