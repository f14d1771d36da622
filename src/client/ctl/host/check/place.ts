import path from 'node:path'
import { bad, good, type RangeCheck, shellWord, warning } from '../check'
import type { FolderRange } from '../configured-range'
import type { HostFiles } from '../host-files'
import { mountOf } from '../mounts'

/** Whether another user can make or remove a folder on the path to the range's. */
export const place: RangeCheck = {
  id: 'place',
  matters: source => source.files === 'inFolder',
  run: (configured, { files, broker }) => {
    const range = configured as FolderRange
    const trusted = [0, broker?.uid ?? process.getuid!()]
    for (const folder of [...ancestors(range.path), range.path]) {
      const stat = files.stat(folder)
      if (stat && !trusted.includes(stat.uid))
        return bad(
          `${folder} belongs to uid ${stat.uid}, who decides what is there`,
          `look at what is in it, remove it, and ${elsewhere}`,
        )
    }
    const open = ancestors(range.path).find(folder => ((files.stat(folder)?.mode ?? 0) & 0o022) !== 0)
    if (open === undefined) return good(`only root can make a folder on the way to ${range.path}`)
    if ((files.stat(open)!.mode & 0o1000) === 0)
      return bad(
        `others can rename what is in ${open}, on the way to ${range.path}`,
        `chmod o-w,g-w ${shellWord(open)}, or ${elsewhere}`,
      )
    const next = path.join(open, path.relative(open, range.path).split('/')[0]!)
    return isThereForGood(files, next)
      ? good(`${next} is there, and only root can replace it`)
      : warning(
          `any user can make ${next} before the broker does, after every boot, and can fill the filesystem of ${open}`,
          elsewhere,
        )
  },
}

const elsewhere =
  'give the range a filesystem of its own: install deploy/dev-membroker.mount, and write path = "/dev/membroker"'

/** Returns the folders from the root down, without the path itself. */
function ancestors(file: string): string[] {
  const parent = path.dirname(file)
  return parent === file ? [] : [...ancestors(parent), parent]
}

/** A boot removes a folder on tmpfs. A mount covers any folder there again. */
function isThereForGood(files: HostFiles, folder: string): boolean {
  const mount = mountOf(files, folder)
  return files.stat(folder) !== undefined && (mount?.type !== 'tmpfs' || mount.folder === folder)
}
