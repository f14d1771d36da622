import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, renameSync, rmSync, utimesSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder } from '../guest/build'

/** The lab's part of the git-ignored cache folder, or a folder in it. Created when missing. */
export function labFolder(...parts: string[]): string {
  const folder = path.join(cacheFolder(), 'lab', ...parts)
  mkdirSync(folder, { recursive: true })
  return folder
}

const making = new Map<string, Promise<string>>()

/**
 * Make a file or folder of the cache by a function that gets a path to make it at. It appears under its own name only
 * when it is whole, so that a run cut off and a run beside this one do no harm. Who asks while this process makes it waits.
 */
export function whole(target: string, make: (unfinished: string) => Promise<void>): Promise<string> {
  const known = making.get(target)
  if (known) return known
  const made = makeWhole(target, make).finally(() => making.delete(target))
  making.set(target, made)
  return made
}

async function makeWhole(target: string, make: (unfinished: string) => Promise<void>): Promise<string> {
  if (existsSync(target)) {
    const now = new Date()
    utimesSync(target, now, now) // what is used is not old
    return target
  }
  const unfinished = `${target}.${process.pid}.part`
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(path.dirname(target), { recursive: true })
  try {
    await make(unfinished)
    try {
      renameSync(unfinished, target)
    } catch (error) {
      // Another run was quicker, and made the same.
      if (!existsSync(target)) throw error
    }
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
  return target
}

/** SHA-256 of a file, in hex. */
export async function hashFile(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** A short name for what is made from these texts. */
export function hashTexts(texts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(`${text.length}:${text}`)
  return hash.digest('hex').slice(0, 16)
}
