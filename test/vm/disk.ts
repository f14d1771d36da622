import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Found, readSave } from '../../src/client/ctl/vm/saved-state'
import { attemptNow, runNow } from '../support/child'
import type { Scene } from './scene'

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

/** A file's name: while it is there, the programs by which a runner writes to a disk run its shell text first. */
export function diskFaults(scene: Scene): string {
  const fault = path.join(scene.folder, 'fault')
  for (const name of ['sync', 'dd'])
    scene.program(name, `#!/bin/sh\nset -- ${name} "$@"\n[ -e ${fault} ] && . ${fault}\nexec /usr/bin/"$@"\n`)
  scene.launcher = ['env', `PATH=${scene.folder}:${process.env.PATH}`]
  return fault
}

/** What a start would find in these bytes of a VM's state. */
export function foundIn(content: Buffer): Found {
  return readSave({
    bytes: content.length,
    read: (offset, length) => content.subarray(offset, offset + length),
    write: () => {},
    publish: () => {},
  })
}
