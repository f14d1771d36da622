import { statSync } from 'node:fs'
import { hashFile, hashTexts } from './cache'

/** One entry of the lab's root filesystem or of a disk, by its path without a leading slash. */
export type Entry =
  | { kind: 'file'; path: string; file: string; mode?: number }
  | { kind: 'text'; path: string; text: string | Buffer; mode?: number }
  | { kind: 'link'; path: string; target: string }
  | { kind: 'folder'; path: string; mode?: number }
  | { kind: 'device'; path: string; major: number; minor: number }

export type FileEntry = Extract<Entry, { kind: 'file' | 'text' }>

/** Entries by their paths: a folder before what is in it. */
export function inOrder(entries: readonly Entry[]): Entry[] {
  return [...entries].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
}

/** A name for what is made of these entries, which changes with their contents. */
export async function nameOf(prefix: string, entries: readonly Entry[]): Promise<string> {
  const described = await Promise.all(
    inOrder(entries).map(async entry =>
      entry.kind === 'file'
        ? JSON.stringify({ ...entry, file: await hashFile(entry.file) })
        : JSON.stringify(entry),
    ),
  )
  return `${prefix}-${hashTexts(described)}`
}

/** Permissions and bytes of a file. */
export function modeOf(entry: FileEntry): { mode: number; size: number } {
  if (entry.kind === 'text') return { mode: entry.mode ?? 0o644, size: Buffer.byteLength(entry.text) }
  const { mode, size } = statSync(entry.file)
  return { mode: entry.mode ?? mode & 0o777, size }
}
