import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { sourceOf } from '../../../../protocol/source'
import { formatSize, KiB } from '../../../../protocol/units'
import type { Range } from '../../index'
import { ending, type Program, run, start } from '../update/program'

/** The file of some memory. */
export interface MemoryFile {
  /** The allocation's. */
  readonly name: string
  /** A path that this process's children reach as well, or a descriptor of this process. */
  readonly file: string | number
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

/**
 * Whether memory of the range may lie on a disk, to which the kernel writes it in its own time: a power cut, or a kexec without a
 * sync, loses what has not been synced.
 */
export function mayBeOnDisk({ source, capabilities }: Range): boolean {
  return sourceOf(source)?.files === 'inFolder' && !capabilities.survivesKexec
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
  const there: MemoryFile[] = []
  for (const file of files) if (await isOnDisk(file)) there.push(file)
  if (there.length === 0) return false
  const fds = there.flatMap(({ file }) => (typeof file === 'number' ? [file] : []))
  const places = there.map(({ file }) =>
    typeof file === 'number' ? `/proc/self/fd/${firstInheritedFd + fds.indexOf(file)}` : file,
  )
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
      const { file } = find()
      const [place, fds] =
        typeof file === 'number' ? [`/proc/self/fd/${firstInheritedFd}`, [file]] : [file, []]
      // Its words are looked at, so nobody translates them.
      program = start(['env', 'LC_ALL=C', 'dd', `of=${place}`, `seek=${offset}`, ...how], fds, bytes)
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

export async function isOnDisk({ name, file }: MemoryFile): Promise<boolean> {
  try {
    const { type } = await statfs(typeof file === 'number' ? `/proc/self/fd/${file}` : file)
    return !inMemory.has(type)
  } catch (error) {
    throw new Error(`nobody can see whether ${name} is on a disk: ${(error as Error).message}`)
  }
}

/** What the kernel has not written to the disks of this host. */
function unwrittenBytes(): number {
  const counts = readFileSync('/proc/meminfo', 'latin1').matchAll(/^(?:Dirty|Writeback): +(\d+) kB$/gm)
  return [...counts].reduce((sum, [, kib]) => sum + Number(kib) * KiB, 0)
}
