import { readFileSync } from 'node:fs'
import path from 'node:path'

function findVersion(from: string): string {
  const file = path.join(from, 'package.json')
  try {
    const { name, version } = JSON.parse(readFileSync(file, 'utf8'))
    if (name === 'membroker') return version
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return findVersion(path.dirname(from))
}

/** The package's version. */
export const version = findVersion(__dirname)
