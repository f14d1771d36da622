import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { Addon } from './addon'

/** The package's own directory, from native/ as well as from dist/native/. */
function packageDirectory(): string {
  for (let directory = __dirname; ; directory = path.dirname(directory)) {
    const manifest = path.join(directory, 'package.json')
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'membroker')
      return directory
    if (directory === path.dirname(directory))
      throw new Error(`membroker: no package.json of it above ${__dirname}`)
  }
}

/** The worker program, for spawnWorker; it lies beside the addon. */
export function workerFile(): string {
  const addon =
    process.env.MEMBROKER_ADDON ??
    (require('node-gyp-build') as { path(directory: string): string }).path(
      path.join(packageDirectory(), 'native'),
    )
  return path.join(path.dirname(path.resolve(addon)), 'membroker-worker')
}

/** $MEMBROKER_ADDON names another file to load: a build with sanitizers. */
export function loadAddon(): Addon {
  const chosen = process.env.MEMBROKER_ADDON
  if (chosen) return require(path.resolve(chosen)) as Addon
  const directory = packageDirectory()
  try {
    return (require('node-gyp-build') as (directory: string) => Addon)(path.join(directory, 'native'))
  } catch (cause) {
    throw new Error(
      `membroker: there is no native addon for this Node (${process.version}, ${process.arch}) in ${directory}. ` +
        `To build it: npm --prefix ${directory} run install (the reason why loading failed is in this error's cause)`,
      { cause },
    )
  }
}
