import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync, readlinkSync } from 'node:fs'
import path from 'node:path'
import { native } from '../../../../native'
import { SourceError } from '../../failure'
import { type FileWork, populateAll } from '../file-work'
import type { Mount } from './mount'

/**
 * A directory on a DAX filesystem: programs write to the files' memory itself. A kexec without a sync keeps those bytes. It
 * loses what the filesystem has not committed: names, sizes, owners, and which blocks are written, as unwritten ones read as
 * zeros. So the broker has blocks written and metadata committed before its table promises a file.
 */
export class DaxDirectory {
  private constructor(
    private readonly directory: number,
    private readonly work: FileWork,
  ) {}

  /** Makes the table's file, and the directory itself, such that a kexec keeps them. */
  static async open(directory: string, table: string, work: FileWork): Promise<DaxDirectory> {
    const uid = process.getuid!()
    await withFile(table, constants.O_RDWR, async fd => {
      await populateAll(work, uid, fd, 0, fstatSync(fd).size)
      await work.sync(uid, fd)
    })
    await withFile(path.dirname(directory), constants.O_RDONLY, parent => work.sync(uid, parent))
    const opened = new DaxDirectory(openSync(directory, constants.O_RDONLY), work)
    try {
      await opened.commitNames(uid)
      return opened
    } catch (error) {
      opened.close()
      throw error
    }
  }

  /** A file may be an exception in its filesystem. @throws SourceError EOPNOTSUPP */
  check(file: string): void {
    if (native.isDirectAccess(file)) return
    throw Object.assign(
      new SourceError(
        `the kernel maps ${file} without DAX (an attribute of the file or of its folder), so a kexec would lose it`,
      ),
      { code: 'EOPNOTSUPP' },
    )
  }

  /** An attribute that somebody gave a file counts from the next mount on. */
  reportCopied(files: readonly string[], report: (why: string) => void): void {
    const copied = files.filter(file => existsSync(file) && !native.isDirectAccess(file))
    if (copied.length > 0)
      report(
        `the kernel maps ${copied.join(', ')} without DAX (chattr +x and a new mount repair that); a kexec would lose what programs write there`,
      )
  }

  /** A new file: its metadata, then its name. */
  async commit(uid: number, fd: number): Promise<void> {
    await this.work.sync(uid, fd)
    await this.commitNames(uid)
  }

  commitNames(uid: number): Promise<void> {
    return this.work.sync(uid, this.directory)
  }

  close(): void {
    closeSync(this.directory)
  }
}

/** Why a kexec would lose files of this mount. undefined: it keeps them. false: nobody expects that it does. */
export function lostByKexec(mount: Mount, table: string): string | undefined | false {
  const { type, device, point } = mount
  if (!offersDax(mount)) return false
  if (type !== 'ext4' && type !== 'xfs')
    return `nobody has shown that the ${type} of ${point} keeps files over a kexec; ext4 and xfs do`
  // The kernel's name for a missing one.
  if (
    type === 'ext4' &&
    textOf(`/sys/fs/ext4/${path.basename(readlinkSync(`/sys/dev/block/${device}`))}/journal_task`) ===
      '<none>'
  )
    return `the ext4 of ${point} has no journal, so a kexec can lose its files`
  if (!native.isDirectAccess(table))
    return `the kernel maps ${table} without DAX, so a kexec loses it; mount ${point} with -o dax=always`
  return undefined
}

/** The mount asks for DAX, or its device could give it. */
function offersDax({ device, options }: Mount): boolean {
  if (options.includes('dax') || options.includes('dax=always')) return true
  // A partition has no queue of its own.
  return ['queue/dax', '../queue/dax'].some(name => textOf(`/sys/dev/block/${device}/${name}`) === '1')
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trimEnd()
  } catch {
    return undefined
  }
}

async function withFile(file: string, flags: number, use: (fd: number) => Promise<void>): Promise<void> {
  const fd = openSync(file, flags)
  try {
    await use(fd)
  } finally {
    closeSync(fd)
  }
}
