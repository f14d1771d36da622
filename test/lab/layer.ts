import { rmSync, statSync } from 'node:fs'
import { hashFile, hashTexts, labFolder, whole } from './cache'
import { CpioWriter } from './cpio'

/** One entry of the lab's root filesystem, by its path without a leading slash. */
export type LayerEntry =
  | { kind: 'file'; path: string; file: string; mode?: number }
  | { kind: 'text'; path: string; text: string | Buffer; mode?: number }
  | { kind: 'link'; path: string; target: string }
  | { kind: 'folder'; path: string; mode?: number }
  | { kind: 'device'; path: string; major: number; minor: number }

/** Part of the lab's root filesystem, as an archive in the cache; the name changes with the contents. */
export async function layer(name: string, entries: readonly LayerEntry[]): Promise<string> {
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
  const described = await Promise.all(
    sorted.map(async entry =>
      entry.kind === 'file'
        ? JSON.stringify({ ...entry, file: await hashFile(entry.file) })
        : JSON.stringify(entry),
    ),
  )
  const file = `${labFolder('layers')}/${name}-${hashTexts(described)}.cpio`
  return whole(file, async unfinished => {
    const archive = new CpioWriter(unfinished)
    try {
      for (const entry of sorted) await put(archive, entry)
      await archive.end()
    } catch (error) {
      rmSync(unfinished, { force: true })
      throw error
    }
  })
}

function put(archive: CpioWriter, entry: LayerEntry): Promise<void> {
  switch (entry.kind) {
    case 'file': {
      const { size, mode } = statSync(entry.file)
      return archive.file(entry.path, entry.file, size, entry.mode ?? mode & 0o777)
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
