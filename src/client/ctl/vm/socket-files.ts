import { linkSync, lstatSync, renameSync, rmSync } from 'node:fs'

interface Kept {
  readonly file: string
  readonly spare: string
}

/**
 * The files of sockets that a QEMU listens on. Another QEMU with the same arguments replaces them by its own, and nobody
 * would reach the first one again: each has a second name meanwhile.
 */
export class SocketFiles {
  private readonly kept: Kept[]

  /** args: QEMU's arguments. A file that it can't keep is as it would be without this. */
  constructor(args: readonly string[]) {
    const words = new Set(args.flatMap(arg => arg.split(/[\s,;"'=]|unix:/)))
    this.kept = [...words].filter(isSocket).flatMap(file => {
      const spare = `${file}.upgrade`
      try {
        rmSync(spare, { force: true })
        linkSync(file, spare)
        return [{ file, spare }]
      } catch {
        return []
      }
    })
  }

  /** The first QEMU goes on: the names are those of its sockets again. */
  restore(): void {
    for (const { file, spare } of this.kept) attempt(() => renameSync(spare, file))
    this.drop()
  }

  /** The other QEMU goes on. Idempotent. */
  drop(): void {
    for (const { spare } of this.kept) attempt(() => rmSync(spare, { force: true }))
  }
}

function isSocket(word: string): boolean {
  try {
    return word.startsWith('/') && lstatSync(word).isSocket()
  } catch {
    return false
  }
}

function attempt(act: () => void): void {
  try {
    act()
  } catch {
    // Somebody took the folder away meanwhile, and the files with it.
  }
}
