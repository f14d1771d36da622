import { type FSWatcher, watch } from 'node:fs'
import { isEnvironment } from '../../failure'

/** A holder that uses write() makes a notice each time. One look serves all notices of this interval. */
const noticeMs = 20
/** After so many notices in that interval the watch pauses: a holder can make them faster than the broker can read them. */
const noticesMax = 100
const pauseMs = 1000
/** Time between two looks at all files while the kernel gives no notices. */
const pollMs = 2000

/** names: undefined when any file may have changed. */
interface WatchEvents {
  changed(names: ReadonlySet<string> | undefined): void
  /** The kernel gives no notices, for this reason. undefined: it does again. */
  blind(error: Error | undefined): void
}

/**
 * Reports which files of a directory somebody wrote to or resized, by the kernel's notices (inotify). Ordinary use through mmap
 * makes none. After too many notices it stops listening for a while, and then reports all files. Anybody can use up the host's
 * inotify instances and watches. Without a watch it reports all files every two seconds, and asks for a watch each time.
 */
export class DirectoryWatch {
  private watcher: FSWatcher | undefined
  private timer: NodeJS.Timeout | undefined
  private notices = 0
  private names = new Set<string>()
  private isBlind = false

  constructor(
    private readonly directory: string,
    private readonly events: WatchEvents,
  ) {
    this.listen()
  }

  close(): void {
    clearTimeout(this.timer)
    this.watcher?.close()
  }

  private listen(): void {
    try {
      this.watcher = watch(this.directory, { persistent: false }, (_, name) => this.noticed(name ?? ''))
      this.watcher.on('error', error => this.lost(error))
      if (this.isBlind) this.events.blind(undefined)
      this.isBlind = false
    } catch (error) {
      if (!isEnvironment(error)) throw error
      this.lost(error as Error)
    }
  }

  private lost(error: Error): void {
    if (!this.isBlind) this.events.blind(error)
    this.isBlind = true
    this.lookLater(pollMs)
  }

  private noticed(name: string): void {
    this.names.add(name)
    this.notices++
    if (this.notices === noticesMax) this.lookLater(pauseMs)
    else this.timer ??= setTimeout(() => this.tell(this.names), noticeMs).unref()
  }

  /** Listens first, then reports, so that it misses no change. */
  private lookLater(ms: number): void {
    clearTimeout(this.timer)
    this.watcher?.close()
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.listen()
      this.tell(undefined)
    }, ms).unref()
  }

  private tell(names: ReadonlySet<string> | undefined): void {
    if (names) this.timer = undefined
    this.notices = 0
    this.names = new Set()
    this.events.changed(names)
  }
}
