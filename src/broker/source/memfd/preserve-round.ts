import { fstatSync } from 'node:fs'
import { onlyEnvironment } from '../../failure'
import { NotInTime } from '../../worker/errors'
import type { WaitBudget } from '../../worker/worker-pool'
import { lockBudget, lockBudgetMs } from '../file-work'
import type { Room } from './host-memory'
import { closeLater, type Memfd, NotPreserved, type Preservation, workedOnMax } from './preservation'
import { type Failures, piecesOf } from './retrieved-sessions'

/** So long what was read of the host's memory counts. */
const roomMs = 1000
/** Once the kernel is late with one of an owner's memfds, so many more of them at once. */
const besideMax = 3

/**
 * Preserves the memfds of a range that are not preserved yet. failures gets what can't be, and why, which costs no other; nothing
 * in it is asked for. Once over is aborted, the kernel is asked for nothing more.
 */
export class PreserveRound {
  /** The kernel is at these: nothing refuses them any more. */
  private readonly asked = new Set<Memfd>()
  private checkedAt = 0

  constructor(
    private readonly memfds: readonly Memfd[],
    private readonly next: Preservation,
    private readonly failures: Failures,
    private readonly host: { over: AbortSignal | undefined; readRoom(): Room },
  ) {}

  /** isUnshared: no other process has it. */
  async run(isUnshared: (memfd: Memfd) => boolean): Promise<void> {
    const { memfds, next, failures, host } = this
    next.askForLeaving()
    this.checkRoom()
    const ready = memfds.filter(({ part }) => !failures.has(part))
    for (const [part, error] of await next.preserveUnshared(ready.filter(isUnshared), host.over))
      failures.set(part, error)
    const ofOwners = new Map<number, Memfd[]>()
    for (const memfd of ready)
      if (!isUnshared(memfd)) {
        const others = ofOwners.get(memfd.uid)
        if (others) others.push(memfd)
        else ofOwners.set(memfd.uid, [memfd])
      }
    await Promise.all(
      [...ofOwners].map(async ([uid, ofOwner]) => {
        // Who has a share of one can delay no other than those that are shared as well.
        for (const isShared of [false, true])
          await this.preserveAllOf(
            uid,
            ofOwner.filter(memfd => (memfd.isShared ?? false) === isShared),
          )
      }),
    )
  }

  /**
   * The kernel has one lock for each page that it preserves: files at once would wait for each other. What an owner keeps locked
   * delays nobody else's, and the freeze no longer than its owner's budget. Then what is left of the owner's memory counts as late.
   */
  private async preserveAllOf(uid: number, memfds: readonly Memfd[]): Promise<void> {
    const { next, failures, host } = this
    const budget = lockBudget()
    for (const piece of piecesOf(memfds, workedOnMax)) {
      if (host.over?.aborted) return
      const left = piece.filter(({ part }) => !failures.has(part) && !next.has(part))
      if (left.length === 0) continue
      const sessions = new Map<Memfd, number>()
      for (const [index, session] of (await next.begin(left)).entries())
        if (typeof session === 'number') sessions.set(left[index]!, session)
        else this.fail(left[index]!, session)
      await this.preserveIn(sessions, uid, budget)
      await Promise.all([...sessions.values()].map(closeLater))
    }
  }

  /** Takes out of sessions what it uses. */
  private async preserveIn(sessions: Map<Memfd, number>, uid: number, budget: WaitBudget): Promise<void> {
    const { next, failures, asked, host } = this
    let isLate = false
    const beside: Promise<void>[] = []
    // An owner may have kept the kernel waiting meanwhile, and others have taken the memory.
    const goesOn = () => !host.over?.aborted && performance.now() - this.checkedAt <= roomMs
    const preserveLeft = async () => {
      while (!host.over?.aborted) {
        if (!goesOn()) this.checkRoom()
        const left = [...sessions].filter(([{ part }]) => !failures.has(part))
        if (left.length === 0) return
        if (budget.leftMs <= 0) {
          for (const [{ part }] of left) failures.set(part, tooLong(uid))
          return
        }
        const row = left.slice(0, isLate ? 1 : left.length)
        for (const [memfd] of row) {
          sessions.delete(memfd)
          asked.add(memfd)
        }
        const unbegun = new Map(row)
        const refused = await next.preserveIn(unbegun, uid, { budget, goesOn })
        for (const [memfd] of row) asked.delete(memfd)
        for (const [memfd, session] of unbegun) sessions.set(memfd, session)
        for (const [part, failure] of refused) failures.set(part, failure)
        if (isLate || ![...refused.values()].some(isKernelLate)) continue
        isLate = true
        for (let more = 0; more < besideMax; more++) beside.push(preserveLeft())
      }
    }
    await preserveLeft()
    await Promise.all(beside)
  }

  private checkRoom(): void {
    this.checkedAt = performance.now()
    const { asked, next, failures } = this
    const room = this.host.readRoom()
    const take = (memfd: Memfd, refuse: (error: unknown) => void) => {
      try {
        room.take(fstatSync(memfd.fd))
      } catch (error) {
        refuse(error)
      }
    }
    for (const memfd of asked)
      take(memfd, error => {
        onlyEnvironment(error)
        // A row has others behind the one that the kernel is at: they are to be looked at first.
        this.checkedAt = Number.NEGATIVE_INFINITY
      })
    for (const memfd of this.memfds)
      if (!asked.has(memfd) && !failures.has(memfd.part) && !next.has(memfd.part))
        take(memfd, error => this.fail(memfd, error))
  }

  private fail({ part }: Memfd, error: unknown): void {
    onlyEnvironment(error)
    this.failures.set(part, error as NodeJS.ErrnoException)
  }
}

/** Not the fd store: a service manager that does not read fails with ETIMEDOUT as well. */
const isKernelLate = (error: Error) => error instanceof NotInTime || error.cause instanceof NotInTime

/**
 * The kernel is late with one memfd, or does not preserve it: who has it may keep it locked, or its pages in use, so that the kernel
 * can't move them.
 */
export const isOfHolders = (error: Error) => isKernelLate(error) || error instanceof NotPreserved

const tooLong = (uid: number) =>
  new NotInTime(
    'ioctl',
    `uid ${uid} kept its memory locked for ${lockBudgetMs / 1000} seconds: the kernel was asked for no more of it`,
  )
