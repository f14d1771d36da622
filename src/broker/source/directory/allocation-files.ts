import {
  closeSync,
  constants,
  fchownSync,
  ftruncateSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  type Stats,
  statfsSync,
  unlinkSync,
} from 'node:fs'
import { opendir, rm } from 'node:fs/promises'
import { allocationFiles, allocationOf, nameFor } from './folder'

/** Linux; Node has no name for it. */
const O_PATH = 0o10000000

/** The files of a directory's allocations, by id. No method waits for somebody who has the file open. */
export class AllocationFiles {
  /** Only those that can't be derived from the id. */
  private readonly names = new Map<number, string>()

  constructor(readonly directory: string) {
    for (const [id, name] of allocationFiles(directory)) this.setName(id, name)
  }

  path(id: number): string {
    // Absolute and without a slash at its end. path.join() took 3 of a grant's and its revocation's 70 microseconds.
    return `${this.directory}/${this.names.get(id) ?? nameFor(id, false)}`
  }

  /**
   * Makes a file and opens it. owner: who may open it by its path. hidden: nobody can guess the name. check: may refuse the file
   * by an error; then it goes.
   */
  make(
    id: number,
    bytes: number,
    owner: number | undefined,
    hidden: boolean,
    check?: (file: string) => void,
  ): number {
    this.setName(id, nameFor(id, hidden))
    const file = this.path(id)
    // Nobody else knows this file yet, so nobody can make these calls wait.
    const fd = openSync(file, 'wx+', 0o600)
    try {
      if (owner !== undefined) fchownSync(fd, owner, -1)
      ftruncateSync(fd, bytes)
      check?.(file)
      return fd
    } catch (error) {
      closeSync(fd)
      rmSync(file, { force: true })
      this.names.delete(id)
      throw error
    }
  }

  /** Gives it another name, where names are hidden. */
  rename(id: number, hidden: boolean): void {
    const name = nameFor(id, hidden)
    renameSync(this.path(id), `${this.directory}/${name}`)
    this.setName(id, name)
  }

  /** Removes the name. Who has the file open keeps its memory. */
  async unlink(id: number): Promise<void> {
    await rm(this.path(id), { force: true })
  }

  /** The same at once. It takes the inode's lock: only for a file that nobody can have open. */
  unlinkNow(id: number): void {
    unlinkSync(this.path(id))
  }

  /** The file is gone: its id may come back with another name. */
  forget(id: number): void {
    this.names.delete(id)
  }

  stat(id: number): Stats | undefined {
    return lstatSync(this.path(id), { throwIfNoEntry: false })
  }

  /** Without O_NONBLOCK the kernel makes an open wait as long as a holder's lease lasts. */
  open(id: number, writable = true): number {
    const { O_NONBLOCK, O_RDONLY, O_RDWR } = constants
    return openSync(this.path(id), (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK)
  }

  openIfThere(id: number): number | undefined {
    return ifThere(() => this.open(id))
  }

  /** O_PATH: a holder with a lease, or one that runs the file as a program, prevents any other open. */
  openByName(id: number): number | undefined {
    return ifThere(() => openSync(this.path(id), O_PATH | constants.O_NOFOLLOW))
  }

  private setName(id: number, name: string): void {
    if (name === nameFor(id, false)) this.names.delete(id)
    else this.names.set(id, name)
  }

  present(): number[] {
    return [...allocationFiles(this.directory).keys()]
  }

  /** As present(), a few at a time. */
  async *each(): AsyncGenerator<number> {
    for await (const { name } of await opendir(this.directory, { bufferSize: 256 })) {
      const id = allocationOf(name)
      if (id !== undefined) yield id
    }
  }

  /** Space that the filesystem has left for root; undefined where it has no bound of its own (hugetlbfs without size=). */
  freeBytes(): number | undefined {
    const { blocks, bfree, bsize } = statfsSync(this.directory)
    return blocks > 0 ? bfree * bsize : undefined
  }
}

function ifThere(open: () => number): number | undefined {
  try {
    return open()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
