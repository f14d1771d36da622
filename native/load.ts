import path from 'node:path'
import type { Addon } from './addon'
import { ownPackage } from './own-package'

const addonFolder = () => path.join(ownPackage().folder, 'native')

/** The program that spawnWorker starts. */
export const workerFile = () => besideAddon('membroker-worker')

/** The program that connects to a broker for its parent, and becomes another program: native/src/launcher_main.cc. */
export const launcherFile = () => besideAddon('membroker-launcher')

function besideAddon(program: string): string {
  const addon =
    process.env.MEMBROKER_ADDON ??
    (require('node-gyp-build') as { path(directory: string): string }).path(addonFolder())
  return path.join(path.dirname(path.resolve(addon)), program)
}

/** $MEMBROKER_ADDON names another file to load: a build with sanitizers. */
export function loadAddon(): Addon {
  const chosen = process.env.MEMBROKER_ADDON
  if (chosen) return require(path.resolve(chosen)) as Addon
  try {
    return (require('node-gyp-build') as (directory: string) => Addon)(addonFolder())
  } catch (cause) {
    const { folder } = ownPackage()
    throw new Error(
      `membroker: there is no native addon for this Node (${process.version}, ${process.arch}) in ${folder}. ` +
        `To build it: npm --prefix ${folder} run install (the reason why loading failed is in this error's cause)`,
      { cause },
    )
  }
}
