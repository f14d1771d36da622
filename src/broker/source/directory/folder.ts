import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readdirSync,
} from 'node:fs'
import path from 'node:path'
import { native } from '../../../../native'
import { makeFolder } from '../../../../native/make-folder'
import { SourceError } from '../../failure'
import { NativeMedium } from '../../table'

/** Names of the allocations' files, by id. @throws SourceError where two files have one id: only one of them is the memory */
export function allocationFiles(directory: string): Map<number, string> {
  const files = new Map<number, string>()
  for (const name of readdirSync(directory)) {
    const id = allocationOf(name)
    if (id === undefined) continue
    const other = files.get(id)
    if (other !== undefined)
      throw new SourceError(
        `${directory} has two files of allocation ${id}, ${other} and ${name}; remove the copy`,
      )
    files.set(id, name)
  }
  return files
}

export function allocationOf(name: string): number | undefined {
  const match = allocationName.exec(name)
  return match ? Number(match[1]) : undefined
}

const allocationName = /^alloc-(\d{1,16})(?:-[0-9a-f]{32})?$/

/** hidden: nobody can guess it. */
export function nameFor(id: number, hidden: boolean): string {
  return hidden ? `alloc-${id}-${randomBytes(16).toString('hex')}` : `alloc-${id}`
}

/**
 * Others can pass through the directory, to a file whose name they know, or not. They can never list it. A mode that an
 * administrator chose stays.
 */
export function setPassable(directory: string, passable: boolean): void {
  const [wanted, other] = passable ? [0o711, 0o700] : [0o700, 0o711]
  if ((lstatSync(directory).mode & 0o777) === other) chmodSync(directory, wanted)
}

/** @throws SourceError when it is not ours alone */
export function prepareDirectory(directory: string): void {
  try {
    makeFolder(directory, 0o700)
  } catch (error) {
    throw new SourceError(`${directory} can't be made: ${(error as Error).message}`)
  }
  const stat = lstatSync(directory)
  if (!stat.isDirectory()) throw new SourceError(`${directory} is not a directory`)
  if (stat.uid !== process.getuid!())
    throw new SourceError(
      `${directory} belongs to uid ${stat.uid}, not to the broker (uid ${process.getuid!()})`,
    )
  // Nobody lists or changes a passable one.
  if (stat.mode & 0o066) {
    const foreign = readdirSync(directory).filter(
      name => allocationOf(name) === undefined && !/^(table(\.new)?|lock)$/.test(name),
    )
    if (foreign.length > 0 || stat.mode & 0o022)
      throw new SourceError(
        `${directory} is open to other users (mode ${(stat.mode & 0o777).toString(8)}); ` +
          'the broker needs a directory of its own with mode 700',
      )
  }
}

export async function openTable(
  directory: string,
  newBytes: number,
): Promise<{ medium: NativeMedium; bytes: number; fresh: boolean; file: string }> {
  const kept = path.join(directory, 'table')
  const fresh = !readdirSync(directory).includes('table')
  if (fresh && allocationFiles(directory).size > 0)
    throw new SourceError(
      `${directory} holds allocations but their table is missing; put it back, or remove the alloc-* files`,
    )
  const file = fresh ? `${kept}.new` : kept
  const fd = openSync(file, fresh ? 'w+' : 'r+', 0o600)
  try {
    if (fresh) {
      fchmodSync(fd, 0o600)
      ftruncateSync(fd, newBytes)
      await native.fallocate(fd, 0, newBytes)
    }
    const { size } = fstatSync(fd)
    if (size < 4096)
      throw new SourceError(`${file} is only ${size} bytes long; it is not an allocation table`)
    return { medium: new NativeMedium(new native.TableMap(fd, 0, size), size), bytes: size, fresh, file }
  } finally {
    closeSync(fd)
  }
}
