import { readSync } from 'node:fs'
import { native } from '../../../../native'
import { KiB } from '../../../../protocol/units'
import { isEnvironment } from '../../failure'

/** A holder that uses write() makes a notice each time. One read and one look serve all notices of this interval. */
const noticeMs = 20
/** One read takes so many bytes: several times the notices that the broker's own work makes in that interval. */
const readBytes = 64 * KiB
/** Where notices fill a read, the watch pauses: a holder can make them faster than the broker can read them. */
const pauseMs = 1000
/** After a pause it empties the kernel's queue, which keeps 16,384 notices, by so many reads at most. */
const readsMax = 16
/** Time between two looks at all files while the kernel gives no notices. */
const pollMs = 2000

/** inotify(7): numbers of 32 bits, and then a name of at most 255 bytes with its NUL. */
const [watchAt, nameBytesAt, nameAt] = [0, 12, 16]
const noticeBytesMax = nameAt + 256

/** names: undefined when any file may have changed. */
interface WatchEvents {
  changed(names: ReadonlySet<string> | undefined): void
  /** The kernel gives no notices, for this reason. undefined: it does again. */
  blind(error: Error | undefined): void
}

/**
 * Reports which files of a directory somebody wrote to or resized, by the kernel's notices (inotify). Ordinary use through mmap
 * makes none. After too many notices it reads none for a while, and then reports all files. Anybody can use up the host's
 * inotify instances and watches. Without a watch it reports every two seconds that any file may have changed, and asks for a watch each time.
 */
export class DirectoryWatch {
  private readonly buffer = Buffer.alloc(readBytes)
  /** The watch adopts fd. */
  private watched: { fd: number; watch: InstanceType<typeof native.ReadableWatch> } | undefined
  private timer: NodeJS.Timeout | undefined
  private isBlind = false

  constructor(
    private readonly directory: string,
    private readonly events: WatchEvents,
  ) {
    this.listen()
  }

  close(): void {
    clearTimeout(this.timer)
    this.watched?.watch.close()
    this.watched = undefined
  }

  private listen(): void {
    try {
      const fd = native.watchWrites(this.directory)
      const watch = new native.ReadableWatch(fd, () => this.later(noticeMs, () => this.readNames()))
      this.watched = { fd, watch }
      if (this.isBlind) this.events.blind(undefined)
      this.isBlind = false
    } catch (error) {
      this.lost(error)
    }
  }

  private lost(error: unknown): void {
    if (!isEnvironment(error)) throw error
    this.close()
    if (!this.isBlind) this.events.blind(error as Error)
    this.isBlind = true
    this.later(pollMs, () => {
      this.listen()
      this.events.changed(undefined)
    })
  }

  private readNames(): void {
    const bytes = this.read()
    if (isFull(bytes)) this.later(pauseMs, () => this.readAll())
    else this.goOn(namesIn(this.buffer.subarray(0, bytes)))
  }

  /** Empties the queue first, then reports, so that it misses no change. */
  private readAll(): void {
    for (let reads = 0; reads < readsMax && isFull(this.read()); reads++);
    this.goOn(undefined)
  }

  private goOn(names: ReadonlySet<string> | undefined): void {
    this.watched?.watch.again()
    this.events.changed(names)
  }

  private read(): number {
    try {
      return this.watched ? readSync(this.watched.fd, this.buffer) : 0
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') this.lost(error)
      return 0
    }
  }

  private later(ms: number, work: () => void): void {
    this.timer = setTimeout(work, ms).unref()
  }
}

const isFull = (bytes: number) => bytes > readBytes - noticeBytesMax

/** undefined: the kernel has dropped notices. */
function namesIn(notices: Buffer): Set<string> | undefined {
  const names = new Set<string>()
  for (let at = 0; at < notices.length; ) {
    if (notices.readInt32LE(at + watchAt) < 0) return undefined
    const end = at + nameAt + notices.readUInt32LE(at + nameBytesAt)
    names.add(notices.toString('latin1', at + nameAt, end).replace(/\0+$/, ''))
    at = end
  }
  return names
}
