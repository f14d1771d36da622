import { mkdirSync, statSync } from 'node:fs'
import path from 'node:path'

/**
 * Makes a folder and the missing ones above it, each with the mode. Node's own recursion never ends where a folder can't be made
 * and the kernel says ENOENT of it, as in /proc. @throws Error of mkdir()
 */
export function makeFolder(folder: string, mode: number): void {
  if (makesOne(folder, mode)) return
  makeFolder(path.dirname(folder), mode)
  if (!makesOne(folder, mode)) mkdirSync(folder, { mode })
}

/** Whether it is there afterwards. false: the one above it is missing. */
function makesOne(folder: string, mode: number): boolean {
  try {
    mkdirSync(folder, { mode })
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && statSync(folder).isDirectory()) return true
    if (code !== 'ENOENT') throw error
    return false
  }
}
