import { closeSync, type Stats } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isEnvironment, onlyEnvironment } from '../failure'
import { type FileWork, takeOver } from './file-work'
import type { AllocationMemory } from './source'

/** Time at a start for files whose owner has changed while no broker ran. The rest follows while the broker serves. */
const settleMs = 5000
/** Time before the next attempt to let an owner open its file. */
const againMs = 2000

/** A file of a kept allocation, as it is, and the uid that may open it by a path. */
export interface Owned {
  readonly memory: AllocationMemory
  readonly stat: Pick<Stats, 'uid' | 'mode'>
  readonly openBy: number | undefined
}

/**
 * The owners of allocations' files. Who owns a file opens it by a path, with all that a file's owner may do. The broker owns
 * the others. A holder can keep an inode locked, so workers make the changes of a file, one after another.
 */
export class FileOwners {
  private readonly owners = new Map<number, number>()
  private readonly last = new Map<number, Promise<void>>()
  private readonly again = new Map<number, NodeJS.Timeout>()

  /**
   * open: a new descriptor, which may only name the file (O_PATH); undefined: there is no such file.
   * commit: makes a change durable, where that takes more than making it.
   */
  constructor(
    private readonly work: FileWork,
    private readonly open: (id: number) => number | undefined,
    private readonly commit: (memory: AllocationMemory) => Promise<void> = async () => {},
  ) {}

  /** The uid that can open the file by a path. */
  of(id: number): number | undefined {
    return this.owners.get(id)
  }

  /** A change of its owner is under way, or to be tried again. */
  isChanging(id: number): boolean {
    return this.last.has(id) || this.again.has(id)
  }

  /** The file is new, and has this owner. */
  made(id: number, openBy: number | undefined): void {
    if (openBy !== undefined) this.owners.set(id, openBy)
  }

  /**
   * undefined: the broker's alone. @throws SystemError when it fails, or not in time. Then the broker goes on trying to let the
   * owner in, until another change of that file.
   */
  set(memory: AllocationMemory, openBy: number | undefined): Promise<void> {
    const { id } = memory
    this.stop(id)
    const set = () => this.setNow(memory, openBy)
    const done = (this.last.get(id) ?? Promise.resolve()).then(set, set)
    this.last.set(id, done)
    const isLast = () => this.last.get(id) === done && this.last.delete(id)
    done.then(isLast, error => {
      if (isLast() && openBy !== undefined && isEnvironment(error)) this.tryAgain(memory, openBy)
    })
    return done
  }

  private tryAgain(memory: AllocationMemory, openBy: number): void {
    const attempt = () => void this.set(memory, openBy).catch(onlyEnvironment)
    this.again.set(memory.id, setTimeout(attempt, againMs).unref())
  }

  private stop(id: number): void {
    clearTimeout(this.again.get(id))
    this.again.delete(id)
  }

  private async setNow(memory: AllocationMemory, openBy: number | undefined): Promise<void> {
    const { id, uid } = memory
    this.owners.delete(id)
    const fd = this.open(id)
    if (fd === undefined) return
    try {
      await takeOver(this.work, uid, fd)
      if (openBy !== undefined && openBy !== process.getuid!()) await this.work.chown(uid, fd, openBy)
      await this.commit(memory)
      if (openBy !== undefined) this.owners.set(id, openBy)
    } finally {
      closeSync(fd)
    }
  }

  /**
   * At a start: the policy or the table may name another owner than the file has. The owner may also have changed the mode of a
   * file that is the broker's now. A file that a holder keeps locked stays as it is: the proof before an end asks again.
   */
  async settle(files: Iterable<Owned>): Promise<void> {
    const changes: Promise<void>[] = []
    for (const file of files)
      if (!this.accept(file)) changes.push(this.set(file.memory, file.openBy).catch(onlyEnvironment))
    if (changes.length > 0)
      await Promise.race([Promise.all(changes), sleep(settleMs, undefined, { ref: false })])
  }

  /** At a start. False: the file has not the right owner yet. */
  accept({ memory, stat, openBy }: Owned): boolean {
    const self = process.getuid!()
    const owner = openBy ?? self
    const isRight = stat.uid === owner && (owner !== self || (stat.mode & 0o777) === 0o600)
    if (isRight) this.made(memory.id, openBy)
    return isRight
  }

  gone(id: number): void {
    this.owners.delete(id)
    this.stop(id)
  }

  close(): void {
    for (const id of this.again.keys()) this.stop(id)
  }
}
