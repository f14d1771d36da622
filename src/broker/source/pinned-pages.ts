import { closeSync, fstatSync, ftruncateSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../../native'
import { isEnvironment, SourceError, StillReferenced } from '../failure'
import { presentPagesMax } from '../worker/present-pages'
import type { FileWork } from './file-work'
import { PageReferences } from './page-references'
import type { Proof } from './source'

const basePageBytes = 4096
/** When a process ends, the kernel frees the buffers of its last input and output within moments. */
const settleMs = 200
/** This kernel, or its settings, do not show such pages, now or later. */
const refused = ['EPERM', 'EACCES', 'ENOSYS', 'EINVAL']

const whyPinned = 'a huge page of it is still pinned, by io_uring, a pipe, direct I/O or a device'
const whyUnknown = 'the broker needs one free huge page of the host to see whether a page of it is pinned'

/**
 * Finds huge pages that somebody keeps pinned in files that nobody has open or mapped: by a buffer registered with io_uring, a
 * pipe, direct I/O, VFIO. Only the kernel's count of references to each page shows that. The broker looks at a file before it
 * removes it, and keeps it until the holder lets go of the last page. So the broker has to remember only the file itself.
 */
export class PinnedPages {
  /** Files that the caller removes once they have no such page, by id: the owner, and the page's offset in bytes. */
  private readonly found = new Map<number, { uid: number; offset: number }>()
  /** A file itself has so many references to each of its pages. Kernels differ in this number. */
  private idle: number | undefined
  private isBlind = false

  private constructor(
    private readonly work: FileWork,
    private readonly pageBytes: number,
    private readonly blind: (why: string) => void,
  ) {}

  /** The broker calls blind once, when this host does not show such pages. */
  static async open(work: FileWork, pageBytes: number, blind: (why: string) => void): Promise<PinnedPages> {
    const pages = new PinnedPages(work, pageBytes, blind)
    await pages.calibrate()
    return pages
  }

  /**
   * contents: the caller removes the file's bytes next. Then the broker gives up one of the file's pages to learn how the kernel
   * counts, where it has no other. @throws StillReferenced when the file has a pinned page; SystemError when
   * the broker could not look at it just now
   */
  async check(uid: number, id: number, fd: number, contents: 'end' | 'stay'): Promise<void> {
    const why = await this.whyKept(uid, id, fd, contents)
    if (why !== undefined) throw new StillReferenced(why)
  }

  /**
   * For a file that nobody has open or mapped. It says whether check() has refused to have the file's bytes removed, and would
   * refuse it again.
   */
  async prove(id: number, open: () => number): Promise<Proof> {
    const found = this.found.get(id)
    if (!found) return { kind: 'gone' }
    const fd = open()
    try {
      const why = await this.whyKept(found.uid, id, fd, 'end')
      return why === undefined ? { kind: 'gone' } : { kind: 'held', pids: [], unseen: true, why }
    } finally {
      closeSync(fd)
    }
  }

  private async whyKept(
    uid: number,
    id: number,
    fd: number,
    contents: 'end' | 'stay',
  ): Promise<string | undefined> {
    if (this.idle === undefined) await this.calibrate()
    if (this.idle === undefined && contents === 'end') await this.calibrateWith(uid, fd)
    if (this.isBlind) return undefined
    // As long as the broker has not learned how the kernel counts, it proves nothing.
    const offset = this.idle === undefined ? 0 : await this.settle(uid, fd, this.found.get(id)?.offset)
    if (offset === undefined) {
      this.found.delete(id)
      return undefined
    }
    // prove() gives up a page of what is remembered.
    if (contents === 'end') this.found.set(id, { uid, offset })
    return this.idle === undefined ? whyUnknown : whyPinned
  }

  private async settle(uid: number, fd: number, known: number | undefined): Promise<number | undefined> {
    const until = performance.now() + (known === undefined ? settleMs : 0)
    let at = await this.find(uid, fd, known)
    for (let wait = 5; at !== undefined && performance.now() < until; wait *= 2) {
      await sleep(wait)
      at = await this.find(uid, fd, at)
    }
    return at
  }

  /**
   * Returns the offset of the first pinned page. known: the offset of an earlier find. It looks there first; while that page is
   * pinned, it need not look at the others.
   */
  private async find(uid: number, fd: number, known: number | undefined): Promise<number | undefined> {
    if (known !== undefined && (await this.findIn(uid, fd, known, this.pageBytes)) !== undefined) return known
    const { size } = fstatSync(fd)
    const pieceBytes = presentPagesMax * this.pageBytes
    for (let offset = 0; offset < size; offset += pieceBytes) {
      const at = await this.findIn(uid, fd, offset, Math.min(pieceBytes, size - offset))
      if (at !== undefined) return at
    }
    return undefined
  }

  private async findIn(uid: number, fd: number, offset: number, length: number): Promise<number | undefined> {
    const counts = await this.counts(uid, fd, offset, length)
    const index = counts.findIndex(count => count > this.idle!)
    return index < 0 ? undefined : offset + index * this.pageBytes
  }

  private async counts(uid: number, fd: number, offset: number, length: number): Promise<number[]> {
    return PageReferences.ofFrames(await this.work.pages(uid, fd, offset, length, this.pageBytes))
  }

  private async calibrateWith(uid: number, fd: number): Promise<void> {
    const { size } = fstatSync(fd)
    if (this.isBlind || size === 0) return
    await this.work.punchHoles(uid, fd, [{ offset: size - this.pageBytes, length: this.pageBytes }])
    await this.calibrate()
  }

  /** If no page is free, the broker tries again with the next file. */
  private async calibrate(): Promise<void> {
    try {
      // This fails early, before the broker takes a page from the pool.
      await PageReferences.ofFrames([])
      this.idle = await this.learn()
    } catch (error) {
      if (!isEnvironment(error)) throw error
      const { code = '', message } = error as NodeJS.ErrnoException
      if (!(error instanceof SourceError) && !refused.includes(code)) return
      this.isBlind = true
      this.blind(`huge pages that stay pinned after a release are not seen: ${message}`)
    }
  }

  private learn(): Promise<number> {
    return learnIdleCount(() => this.readOwnPage(), this.pageBytes)
  }

  /** The counts of a new page of the broker's own. */
  private async readOwnPage(): Promise<Counts> {
    const { pageBytes } = this
    const uid = process.getuid!()
    const fd = native.memfdCreate('membroker-count', { hugePageBytes: pageBytes, allowSealing: false })
    try {
      ftruncateSync(fd, pageBytes)
      await this.work.allocate(uid, fd, 0, pageBytes)
      const count = async () => (await this.counts(uid, fd, 0, pageBytes))[0]!
      const before = await count()
      const pipe = native.spliceToPipe(fd, 0, pageBytes)
      const during = await count().finally(() => closeSync(pipe))
      return { before, during, after: await count() }
    } finally {
      closeSync(fd)
    }
  }
}

/** References to a page: before its last bytes are in a pipe, meanwhile, and after that. */
interface Counts {
  before: number
  during: number
  after: number
}

const triesMax = 4

/**
 * Learns how many references a file has to a page of its own: the page has one more while its last bytes are in a pipe. If the
 * kernel touches the page at that moment, its counts differ, and a new file's page follows. @throws SourceError after several tries
 */
export async function learnIdleCount(read: () => Promise<Counts>, pageBytes: number): Promise<number> {
  for (let tries = 1; ; tries++) {
    const { before, during, after } = await read()
    // A file has one reference to a page of its own, or one to each 4 KiB of it.
    if ([1, pageBytes / basePageBytes].includes(before) && during === before + 1 && after === before)
      return before
    if (tries === triesMax)
      throw new SourceError(
        `the kernel's counts of references are not understood (${before}, ${during}, ${after})`,
      )
    await sleep(10 * 4 ** tries)
  }
}
