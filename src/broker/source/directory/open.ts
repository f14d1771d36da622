import { closeSync, renameSync, statfsSync } from 'node:fs'
import path from 'node:path'
import { takeLockFile } from '../../../../native/lock-file'
import type { Capabilities } from '../../../../protocol/generated/broker'
import { directory as description } from '../../../../protocol/source/directory'
import { formatSize, roundDown, roundUp } from '../../../../protocol/units'
import { tableBytesFor } from '../../config/range'
import type { RangeSettings } from '../../config/settings'
import { SourceError } from '../../failure'
import type { NativeMedium } from '../../table'
import { hasOwnPool, PagesOwed } from '../huge-pages'
import { PinnedPages } from '../pinned-pages'
import { type SoleOpener, soleOpenerOfHugePages } from '../sole-opener'
import type { OpenedSource, SourceHost } from '../source'
import { AllocationFiles } from './allocation-files'
import { DaxDirectory, lostByKexec } from './dax'
import { openTable, prepareDirectory } from './folder'
import { boundNode, mountOf, tmpfsPageBytes } from './mount'

const tmpfs = 0x01021994
const hugetlbfs = 0x958458f6

/** What a start finds out about a directory and its filesystem. */
export interface Opened {
  readonly files: AllocationFiles
  readonly lock: number
  readonly bytes: number
  readonly unitBytes: number
  readonly node: number | undefined
  readonly capabilities: Capabilities
  /** disk: freed blocks keep their bytes, and the filesystem puts blocks beyond the end of a file by itself. */
  readonly filesystem: 'tmpfs' | 'hugetlbfs' | 'disk'
  readonly filePageBytes: number
  readonly preallocate: boolean
  readonly host: SourceHost
  /** Of huge pages, by the mount's own count. */
  readonly pagesOwed?: PagesOwed | undefined
  /** Of huge pages, by the kernel's references to each. */
  readonly pinned?: PinnedPages | undefined
  /** Of huge pages, where the kernel gives no lease. */
  readonly isSole?: SoleOpener | undefined
  /** Where a kexec keeps the files. */
  readonly dax: DaxDirectory | undefined
}

/** @throws SourceError when the directory is not ours alone, too small, or in use by another broker */
export async function openDirectory(
  settings: RangeSettings,
  host: SourceHost,
): Promise<{ opened: Opened; table: Omit<OpenedSource, 'source'> }> {
  const directory = path.resolve(settings.path!)
  prepareDirectory(directory)
  const lock = takeLockFile(
    path.join(directory, 'lock'),
    () => new SourceError(`${directory} is in use by another broker`),
  )
  let medium: NativeMedium | undefined
  let dax: DaxDirectory | undefined
  try {
    const { type, bsize, blocks } = statfsSync(directory)
    const mount = mountOf(directory)
    const isHuge = type === hugetlbfs
    const pageBytes = isHuge ? bsize : 4096
    const unitBytes = Math.max(pageBytes, settings.alignBytes ?? 0)
    const bytes = roundDown(settings.bytes, unitBytes)
    const table = await openTable(directory, roundUp(settings.tableBytes ?? tableBytesFor(bytes), pageBytes))
    medium = table.medium
    if (blocks > 0 && blocks * bsize < bytes + table.bytes)
      throw new SourceError(
        `${directory} is on a filesystem of ${formatSize(blocks * bsize)}, too small for a range of ` +
          `${formatSize(bytes)} and its table of ${formatSize(table.bytes)}`,
      )
    dax = await openDax(directory, table.file, host)
    const opened: Opened = {
      files: new AllocationFiles(directory),
      lock,
      bytes,
      unitBytes,
      node: boundNode(mount.options),
      capabilities: {
        ...description.can,
        survivesBroker: true,
        survivesKexec: dax !== undefined,
        // A kexec would lose what programs store into holes.
        discard: dax === undefined,
        pageBytes,
      },
      filesystem: isHuge ? 'hugetlbfs' : type === tmpfs ? 'tmpfs' : 'disk',
      filePageBytes: isHuge ? bsize : tmpfsPageBytes(mount.options),
      preallocate: dax !== undefined || (settings.preallocate ?? isHuge),
      host,
      ...(isHuge ? await hugePages(directory, bsize, host) : {}),
      dax,
    }
    const keepTable = () => {
      renameSync(table.file, path.join(directory, 'table'))
      return dax?.commitNames(process.getuid!())
    }
    return { opened, table: { medium, fresh: table.fresh, keepTable } }
  } catch (error) {
    medium?.close()
    dax?.close()
    closeSync(lock)
    throw error
  }
}

/** The proofs that huge pages need, and the count of those that have not come back. */
async function hugePages(
  directory: string,
  pageBytes: number,
  host: SourceHost,
): Promise<Pick<Opened, 'pagesOwed' | 'pinned' | 'isSole'>> {
  const pinned = hasOwnPool(directory)
    ? undefined
    : await PinnedPages.open(host.files, pageBytes, why =>
        host.limited(`${why}; on a mount of its own with size= they are counted`),
      )
  return {
    pinned,
    pagesOwed: pinned ? undefined : new PagesOwed(directory, pageBytes),
    isSole: await soleOpenerOfHugePages(host.files, pageBytes, why => host.limited(why)),
  }
}

async function openDax(
  directory: string,
  table: string,
  host: SourceHost,
): Promise<DaxDirectory | undefined> {
  const lost = lostByKexec(mountOf(directory), table)
  if (lost === undefined) return DaxDirectory.open(directory, table, host.files)
  if (lost !== false) host.limited(lost)
  return undefined
}
