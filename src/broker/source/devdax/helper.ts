import { type ChildProcess, fork } from 'node:child_process'
import path from 'node:path'
import { ownPackage } from '../../../../native'
import { spanBytes } from '../../../../protocol/kernel/address-span'
import { MiB } from '../../../../protocol/units'
import type { Counting } from '../page-references'
import type { PhysicalExtent } from '../source'
import { InstanceError, type Made, type MakeOrder, type Reason } from './instance'
import type { Instance } from './region'
import { continueStopped, recordOf } from './stopped'
import type { TakeOrder, TakeResult } from './take'

export interface CountOrder {
  extents: readonly PhysicalExtent[]
  unitBytes: number
}

type Task =
  | { make: MakeOrder }
  | { remove: { directory: string; name: string; reason: Reason } }
  /** Counts units of a device with references from the kernel, while nobody has it open. */
  | { count: CountOrder }
  /** Tries such counts on a device that nobody has open: whether the helper understands the kernel. */
  | { calibrate: { name: string } & CountOrder }
  /** Removes a device that has holders. */
  | { take: TakeOrder }
export type Order = { id: number } & Task

export type Answer = { id: number; result: object } | { id: number; code: string; message: string }

interface Waiting {
  order: Task
  limitMs: number
  resolve: (result: object) => void
  reject: (error: Error) => void
}

/**
 * Binding makes the kernel's structures for the pages, and unbinding frees them: some seconds for a terabyte. The rest is for a
 * host so busy that the helper itself starts slowly. The broker does not give up a range for that.
 */
const orderMs = 120_000
const bytesPerMs = 8 * MiB
/** The broker waits so long for a killed helper to be gone. */
const continueMs = 5000

interface HelperOptions {
  readonly program?: string
  readonly limitMs?: number
  /** Called when a helper is gone, or the broker stops waiting for it. */
  readonly goOn?: (pid: number) => void
}

const defaults: Required<HelperOptions> = {
  program: path.join(ownPackage().folder, 'dist/program/devdax-helper.js'),
  limitMs: orderMs,
  goOn: pid => continueStopped(recordOf(pid)),
}

/**
 * The broker's side of helper-main.ts. If a write does not return in time, the helper counts as stuck for good. The kernel may
 * still carry out its order later, so the broker asks nothing more of the region.
 */
export class Helper {
  private readonly options: Required<HelperOptions>
  private child: ChildProcess | undefined
  /** Waiting orders, the current one first. */
  private readonly waiting = new Map<number, Waiting>()
  private timer: NodeJS.Timeout | undefined
  private lastId = 0
  private stuck: string | undefined

  /** onStuck gets the reason, once. The helper borrows lockFd for its life. */
  constructor(
    private readonly lockFd: number,
    private readonly onStuck: (reason: string) => void,
    options: HelperOptions = {},
  ) {
    this.options = { ...defaults, ...options }
  }

  async make(order: MakeOrder): Promise<Made> {
    return (await this.ask({ make: order }, spanBytes(order.extents))) as Made
  }

  async remove(directory: string, name: string, bytes: number, reason: Reason): Promise<void> {
    await this.ask({ remove: { directory, name, reason } }, bytes)
  }

  async count(order: CountOrder): Promise<number> {
    return ((await this.ask({ count: order }, spanBytes(order.extents))) as { units: number }).units
  }

  /** A sentence that says why not. */
  async calibrate({ name, extents, alignBytes }: Instance): Promise<Counting | string> {
    try {
      const order = { name, extents: [extents[0]!], unitBytes: alignBytes }
      return (await this.ask({ calibrate: order }, 0)) as Counting
    } catch (error) {
      if (error instanceof InstanceError && error.code === 'ETIMEDOUT') throw error
      return (error as Error).message
    }
  }

  async take(order: TakeOrder, bytes: number): Promise<TakeResult> {
    return (await this.ask({ take: order }, bytes)) as TakeResult
  }

  close(): void {
    this.child?.disconnect()
    this.child = undefined
  }

  private ask(order: Task, bytes: number): Promise<object> {
    if (this.stuck !== undefined) return Promise.reject(new InstanceError('EIO', this.stuck))
    const child = this.running()
    const id = ++this.lastId
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { order, limitMs: this.options.limitMs + bytes / bytesPerMs, resolve, reject })
      if (this.waiting.size === 1) this.watch()
      child.send({ id, ...order }, error => {
        if (error) this.settle({ id, code: 'EIO', message: `the helper can't be reached: ${error.message}` })
      })
    })
  }

  /** An order's timeout starts when the helper begins it. */
  private watch(): void {
    clearTimeout(this.timer)
    const [next] = this.waiting
    if (!next) return
    const [id, { order, limitMs }] = next
    // The broker itself may have stood still. It reads pending answers before it declares the helper stuck.
    const judge = () => setImmediate(() => this.waiting.has(id) && this.giveUp(order))
    this.timer = setTimeout(judge, limitMs)
  }

  private running(): ChildProcess {
    if (this.child) return this.child
    const child = fork(this.options.program, [], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', this.lockFd],
      serialization: 'json',
    })
    child.on('message', answer => this.settle(answer as Answer))
    child.on('error', error => this.lost(child, error.message))
    child.on('exit', (code, signal) => {
      if (child.pid !== undefined) this.options.goOn(child.pid)
      this.lost(child, `it ended (${signal ?? code})`)
    })
    child.unref()
    child.channel?.unref()
    this.child = child
    return child
  }

  private settle(answer: Answer): void {
    const waiting = this.waiting.get(answer.id)
    if (!waiting) return
    this.waiting.delete(answer.id)
    this.watch()
    if ('code' in answer) waiting.reject(new InstanceError(answer.code, answer.message))
    else waiting.resolve(answer.result)
  }

  /**
   * Nobody knows whether its current order is done, half done or not begun. The next order, or the next start of the broker,
   * finds out.
   */
  private lost(child: ChildProcess, reason: string): void {
    if (this.child !== child) return
    this.child = undefined
    this.rejectAll('EIO', `the process that writes to sysfs is gone: ${reason}`)
  }

  private giveUp(order: Task): void {
    const what = `${'make' in order ? 'making' : 'count' in order || 'calibrate' in order ? 'looking at' : 'removing'} a device`
    this.stuck = `${what} has not returned from the kernel in time; the broker leaves the region alone until it restarts`
    const pid = this.child?.pid
    this.child?.kill('SIGKILL')
    this.child = undefined
    // The helper may never end. The processes that it stopped must not wait for that.
    if (pid !== undefined) setTimeout(() => this.options.goOn(pid), continueMs).unref()
    this.rejectAll('ETIMEDOUT', this.stuck)
    this.onStuck(this.stuck)
  }

  private rejectAll(code: string, message: string): void {
    clearTimeout(this.timer)
    for (const { reject } of this.waiting.values()) reject(new InstanceError(code, message))
    this.waiting.clear()
  }
}
