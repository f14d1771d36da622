import { closeSync } from 'node:fs'
import { native } from '../../../../native'
import { StillReferenced } from '../../failure'
import { proveByOpening } from '../file-proof'
import { whyOwed } from '../huge-pages'
import { PinnedPages } from '../pinned-pages'
import type { AllocationMemory, Proof, Scan } from '../source'
import type { FileSizes } from './file-sizes'
import type { Opened } from './open'

/** The proof that nobody reaches a file's memory: not by a descriptor, nor by pages that a pipe or an io_uring keeps. */
export class DirectoryProof {
  constructor(
    private readonly opened: Opened,
    private readonly sizes: FileSizes,
  ) {}

  async prove(id: number, scan: Scan | undefined, withPages = true): Promise<Proof> {
    const { files, pagesOwed, pinned, isSole } = this.opened
    const missing = pagesOwed?.missing({ id, extents: [] }) ?? 0
    if (missing > 0) return { kind: 'held', pids: [], unseen: true, why: whyOwed(missing) }
    await this.sizes.idle(id)
    const open = () => files.open(id)
    const proof = await proveByOpening(open, files.path(id), scan, undefined, isSole)
    if (proof.kind !== 'gone' || !withPages) return proof
    return (await pinned?.prove(id, open)) ?? proof
  }

  /** Pinned pages show only while the file has them. */
  async proveUnpinned({ id, uid }: AllocationMemory): Promise<Proof> {
    const { files, host, pinned } = this.opened
    const proof = await this.prove(id, host.scan)
    if (proof.kind === 'held' || !pinned) return proof
    const fd = files.open(id)
    try {
      await pinned.check(uid, id, fd, 'stay')
      return proof
    } catch (error) {
      if (!(error instanceof StillReferenced)) throw error
      return { kind: 'held', pids: [], unseen: true, why: error.message }
    } finally {
      closeSync(fd)
    }
  }

  /** Also where the mount counts pages after their file is gone. @throws StillReferenced */
  async checkPinned(uid: number, id: number, fd: number): Promise<void> {
    const { host, capabilities, filesystem, pinned } = this.opened
    const pages =
      pinned ??
      (filesystem === 'hugetlbfs'
        ? await PinnedPages.open(host.files, capabilities.pageBytes, () => {})
        : undefined)
    await pages?.check(uid, id, fd, 'stay')
  }

  /** The file, if a lease alone proves that nobody else reaches it. */
  openUnreached(id: number): number | undefined {
    const { files, pagesOwed, pinned, isSole } = this.opened
    const leaseProves = !pagesOwed && !pinned && !isSole
    return leaseProves ? native.openSole(files.path(id)) : undefined
  }
}
