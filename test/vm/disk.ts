import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { attemptNow, runNow } from '../support/child'

/** An ext4 in an image. */
export class Disk {
  readonly folder: string

  constructor(readonly image: string) {
    this.folder = `${image}.mount`
    mkdirSync(this.folder)
    // The kernel commits by itself every 5 seconds, unless told otherwise.
    runNow('mount', ['-o', 'loop,commit=300', image, this.folder])
  }

  static make(image: string): Disk {
    writeFileSync(image, '')
    truncateSync(image, 192 * 2 ** 20)
    runNow('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image])
    return new Disk(image)
  }

  get directory(): string {
    return path.join(this.folder, 'range')
  }

  dispose(): void {
    attemptNow('umount', [this.folder])
  }
}
