import { readFileSync } from 'node:fs'
import path from 'node:path'

/** Of the package this file belongs to, wherever it was compiled to. */
export function version(): string {
  for (
    let directory = __dirname;
    directory !== path.dirname(directory);
    directory = path.dirname(directory)
  ) {
    try {
      const { name, version } = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'))
      if (name === 'membroker') return version
    } catch {
      // No package.json here; the next directory up may have it.
    }
  }
  return 'unknown'
}
