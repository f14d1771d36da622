import { rmSync } from 'node:fs'
import { labFolder, whole } from './cache'
import { CpioWriter } from './cpio'
import { type Entry, inOrder, modeOf, nameOf } from './entry'

/** An initrd, as an archive in the cache; the name changes with the contents. */
export async function initrd(name: string, entries: readonly Entry[]): Promise<string> {
  const file = `${labFolder('initrds')}/${await nameOf(name, entries)}.cpio`
  return whole(file, async unfinished => {
    const archive = new CpioWriter(unfinished)
    try {
      for (const entry of inOrder(entries)) await put(archive, entry)
      await archive.end()
    } catch (error) {
      rmSync(unfinished, { force: true })
      throw error
    }
  })
}

function put(archive: CpioWriter, entry: Entry): Promise<void> {
  switch (entry.kind) {
    case 'file': {
      const { size, mode } = modeOf(entry)
      return archive.file(entry.path, entry.file, size, mode)
    }
    case 'text':
      return archive.text(entry.path, entry.text, entry.mode)
    case 'link':
      return archive.link(entry.path, entry.target)
    case 'folder':
      return archive.folder(entry.path, entry.mode)
    case 'device':
      return archive.device(entry.path, entry.major, entry.minor)
  }
}
