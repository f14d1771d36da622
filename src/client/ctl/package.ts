import { readFileSync } from 'node:fs'
import path from 'node:path'

export interface OwnPackage {
  readonly folder: string
  readonly version: string
  /** Programs, by name; files relative to the folder. */
  readonly bin: Readonly<Record<string, string>>
}

/** The package this file belongs to, wherever it was compiled to. */
export function ownPackage(): OwnPackage {
  for (let folder = __dirname; folder !== path.dirname(folder); folder = path.dirname(folder)) {
    try {
      const { name, version, bin } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
      if (name === 'membroker') return { folder, version, bin }
    } catch {
      // No package.json here; the next directory up may have it.
    }
  }
  return { folder: __dirname, version: 'unknown', bin: {} }
}

export function version(): string {
  return ownPackage().version
}
