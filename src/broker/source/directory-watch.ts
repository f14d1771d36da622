import { type FSWatcher, watch } from 'node:fs'

/** A holder that uses write() makes a notice each time; one look serves all of that time. */
const noticeMs = 20
/** Notices in that time before watching pauses: a holder can make them faster than anybody can take them. */
const noticesMax = 100
const pauseMs = 1000

/**
 * Tells which files of a directory were written to or resized, through the kernel's notices; ordinary use through mmap
 * makes none. When there are too many it stops listening for a while and then has everything looked at.
 */
export class DirectoryWatch {
  private watcher: FSWatcher | undefined
  private timer: NodeJS.Timeout | undefined
  private notices = 0
  private names = new Set<string>()

  /** onChanged gets the names; undefined when any file may have changed. */
  constructor(
    private readonly directory: string,
    private readonly onChanged: (names: ReadonlySet<string> | undefined) => void,
  ) {
    this.listen()
  }

  /** Have a file looked at again later. */
  again(name: string): void {
    this.noticed(name)
  }

  close(): void {
    clearTimeout(this.timer)
    this.watcher?.close()
  }

  private listen(): void {
    this.watcher = watch(this.directory, { persistent: false }, (_, name) => this.noticed(name ?? ''))
    this.watcher.on('error', () => this.watcher?.close())
  }

  private noticed(name: string): void {
    this.names.add(name)
    this.notices++
    if (this.notices === noticesMax) {
      clearTimeout(this.timer)
      this.watcher?.close()
      this.timer = setTimeout(() => {
        this.listen()
        this.tell(undefined)
      }, pauseMs).unref()
    } else this.timer ??= setTimeout(() => this.tell(this.names), noticeMs).unref()
  }

  private tell(names: ReadonlySet<string> | undefined): void {
    this.timer = undefined
    this.notices = 0
    this.names = new Set()
    this.onChanged(names)
  }
}
