import { closeSync, fstatSync, ftruncateSync, mkdirSync, openSync } from 'node:fs'
import path from 'node:path'
import { crc32c, fallocate, TableMap } from '../../native'
import type { AllocationRecord, Change, MappingRecord } from '../../protocol/table'
import { formatTable, NativeMedium, Table } from '../../src/broker/table'

const uuid = 'b'.repeat(32)
/** No boot of this machine has it, so nobody holds anything. */
const bootId = 'a'.repeat(32)
const perCommit = 256
const pageBytes = 4096
const MiB = 2 ** 20

export const identityFor = (rangeBytes: number) =>
  ({ source: 'directory', base: 0, bytes: rangeBytes, alignBytes: pageBytes }) as const

/** Room for so many allocations of a page each, and for others. */
export const rangeBytesFor = (count: number) => Math.ceil((count * pageBytes * 4) / MiB) * MiB + 1024 * MiB

/** As VMs have them: a name, an owner, one extent. Every other page stays free. */
export function allocationAt(index: number): AllocationRecord {
  return {
    ...{ id: index + 1, name: `crowd-${index}/ram`, uid: 0, bytes: pageBytes, alignBytes: pageBytes },
    extents: [{ offset: index * 2 * pageBytes, length: pageBytes }],
    ...{ secret: null, metadata: null, shares: [], holder: null, successor: null },
    ...{ verdict: 'unverified', digest: null },
  }
}

export async function openMedium(file: string, tableBytes?: number): Promise<NativeMedium> {
  const fd = openSync(file, tableBytes === undefined ? 'r+' : 'wx+', 0o600)
  try {
    const bytes = tableBytes ?? fstatSync(fd).size
    if (tableBytes !== undefined) {
      ftruncateSync(fd, tableBytes)
      await fallocate(fd, 0, tableBytes)
    }
    return new NativeMedium(new TableMap(fd, 0, bytes), bytes)
  } finally {
    closeSync(fd)
  }
}

const mappingAt = (index: number): MappingRecord => ({
  ...{ id: index + 1, allocationId: index + 1, offset: 0, length: pageBytes, access: 'readWrite', uid: 0 },
  ...{ guestAddress: 0, metadata: null, holder: null, replaces: null, state: 'dormant' },
})

interface CrowdOptions {
  /** A file for each allocation. */
  files?: boolean
  /** A mapping of each. */
  mapped?: boolean
}

/** A table of so many allocations, as the broker's own writer leaves it. Returns the bytes that their records take in it. */
export async function writeCrowd(
  directory: string,
  count: number,
  { files = false, mapped = false }: CrowdOptions = {},
): Promise<number> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const file = path.join(directory, 'table')
  const tableBytes = Math.max(16 * MiB, Math.ceil((count * 1024) / MiB) * MiB)
  const medium = await openMedium(file, tableBytes)
  const identity = identityFor(rangeBytesFor(count))
  formatTable(medium, identity, { uuid, bootId, tableBytes, crc32c })
  const table = Table.open(medium, { bootId, identity, crc32c })
  for (let index = 0; index < count; index += perCommit) {
    const changes: Change[] = []
    for (let next = index; next < Math.min(count, index + perCommit); next++)
      changes.push({ put: 'allocation', value: allocationAt(next) })
    table.commit(changes)
    if (!mapped) continue
    const mappings = changes.map((_, next): Change => ({ put: 'mapping', value: mappingAt(index + next) }))
    table.commit(mappings)
  }
  const { stateBytes } = table
  medium.close()
  if (files)
    for (let id = 1; id <= count; id++) {
      const fd = openSync(path.join(directory, `alloc-${id}`), 'wx', 0o600)
      ftruncateSync(fd, pageBytes)
      closeSync(fd)
    }
  return stateBytes
}
