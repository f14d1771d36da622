import path from 'node:path'
import type { HostFiles } from './host-files'

export interface Mount {
  readonly folder: string
  readonly device: string
  readonly type: string
  readonly options: readonly string[]
}

/** Returns the mount of a path: the longest folder that leads there. Of several over each other, the last. */
export function mountOf(files: HostFiles, file: string): Mount | undefined {
  let best: Mount | undefined
  for (const line of (files.text('/proc/self/mounts') ?? '').split('\n')) {
    const [device, escaped, type, options] = line.split(' ')
    if (device === undefined || escaped === undefined || type === undefined || options === undefined) continue
    const folder = escaped.replace(/\\([0-7]{3})/g, (_all, octal) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    )
    const within = path.relative(folder, file)
    if (within === '..' || within.startsWith('../') || (best && best.folder.length > folder.length)) continue
    best = { folder, device, type, options: options.split(',') }
  }
  return best
}

/** Returns the value behind the = of an option. */
export function optionOf({ options }: Mount, name: string): string | undefined {
  return options.find(option => option.startsWith(`${name}=`))?.slice(name.length + 1)
}
