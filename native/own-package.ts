import { readFileSync } from 'node:fs'
import path from 'node:path'

interface OwnPackage {
  readonly folder: string
  readonly version: string
  /** Programs, by name; files relative to the folder. */
  readonly bin: Readonly<Record<string, string>>
}

function find(): OwnPackage {
  for (let folder = __dirname; ; folder = path.dirname(folder)) {
    try {
      const { name, version, bin } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
      if (name === 'membroker') return { folder, version, bin }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    if (folder === path.dirname(folder))
      throw new Error(`membroker: no package.json of it above ${__dirname}`)
  }
}

let found: OwnPackage | undefined

/** The package that this file belongs to, wherever it was compiled or bundled to. */
export function ownPackage(): OwnPackage {
  found ??= find()
  return found
}
