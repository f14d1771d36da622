import { chmodSync, copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { labFolder, whole } from './cache'
import { command } from './command'
import { type Entry, modeOf, nameOf } from './entry'

/** For the file system's own structures, in inodes and KiB. */
const spare = { inodes: 128, KiB: 4096 }

/**
 * A disk of the lab's, as an image in the cache; the name changes with the contents. What is large goes onto a disk: it is
 * read as it is needed, where an initrd is copied and digested as a whole at every boot.
 * @param writableKiB room for what a machine writes; with it the disk has a journal. Left out: the disk is for reading only
 */
export async function disk(name: string, entries: readonly Entry[], writableKiB = 0): Promise<string> {
  const file = path.join(labFolder('disks'), `${await nameOf(name, entries)}.img`)
  return whole(file, async unfinished => {
    const folder = `${unfinished}.files`
    try {
      mkdirSync(folder)
      const KiB = entries
        .map(entry => put(folder, entry))
        .reduce((sum, size) => sum + size, spare.KiB + writableKiB)
      const type = writableKiB > 0 ? 'ext4' : 'ext2'
      await command('mke2fs', [
        ...['-q', '-F', '-t', type, '-b', '4096', '-m', '0', '-O', '^resize_inode,^dir_index'],
        // Folders are not among the entries; nor is what a machine writes.
        ...['-N', String(2 * entries.length + spare.inodes + writableKiB / 16), '-E', 'root_owner=0:0'],
        ...['-d', folder, unfinished, `${KiB}k`],
      ])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
}

/** Returns the KiB it takes, those of the file system included, rounded up generously. */
function put(folder: string, entry: Entry): number {
  const target = path.join(folder, entry.path)
  mkdirSync(path.dirname(target), { recursive: true })
  switch (entry.kind) {
    case 'file':
      copyFileSync(entry.file, target)
      break
    case 'text':
      writeFileSync(target, entry.text)
      break
    case 'link':
      symlinkSync(entry.target, target)
      return 8
    case 'folder':
      mkdirSync(target, { recursive: true })
      return 8
    case 'device':
      throw new Error(`${entry.path}: a disk has no devices`)
  }
  const { mode, size } = modeOf(entry)
  chmodSync(target, mode)
  return Math.ceil((size * 1.01) / 4096) * 4 + 8
}
