import path from 'node:path'
import { buildSync } from 'esbuild'
import { packageRoot } from '../support/package-root'

/**
 * Bundles a program of the bench as those that ship are bundled, and returns its file: between files that are not, each use of an
 * import is a look-up, and those took a sixth of a commit.
 */
export function bundled(source: string): string {
  const file = path.join(packageRoot, 'dist/test/bench/bundled', source.replace(/\.ts$/, '.js'))
  buildSync({
    entryPoints: [path.join(packageRoot, 'test/bench', source)],
    outfile: file,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    external: ['esbuild'],
    logLevel: 'warning',
  })
  return file
}
