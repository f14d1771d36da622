import { readFileSync } from 'node:fs'

const triesMax = 1000

/**
 * What is in a file so far that somebody is writing to; it is made when it is not there yet. On 7.2 a file of the shared
 * folder says ENODATA when its end moves while it is read, which is no failure.
 */
export function readGrowing(file: string): Buffer {
  for (let tries = 1; ; tries++) {
    try {
      return readFileSync(file, { flag: 'a+' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENODATA' || tries >= triesMax) throw error
    }
  }
}
