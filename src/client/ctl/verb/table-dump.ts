import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { Command } from 'commander'
import { systemReason } from '../../../../protocol/system-reason'
import {
  freezeId,
  outcomeIdMin,
  readTableFrom,
  reportId,
  type TableImage,
  type TableSource,
  TableUnreadable,
  updateId,
} from '../../../../protocol/table'
import { wholeArgument } from '../arguments'
import { exitCode, Failure } from '../exit'
import { address, count, fields, size, table } from '../table'
import { addNoun, addVerb } from '../verb'
import { print } from '../verb-context'

export function addTable(program: Command): void {
  const noun = addNoun(program, 'table', 'Allocation tables, without a broker')
  addVerb(noun, {
    usage: 'dump <file>',
    summary: "Print an allocation table's contents, from a file or device; changes nothing",
    examples: [
      'table dump /mnt/membroker/table',
      'table dump /dev/mem --offset 0x60000000',
      'table dump copy --json',
    ],
    notes:
      'A broker may have the table open; dump then may miss the change that the broker writes at that moment.',
  })
    .option('--offset <bytes>', 'offset of the table in the file', wholeArgument, 0)
    .action((file: string, options: { offset: number }, command: Command) => {
      const image = read(file, options.offset)
      print(command.optsWithGlobals<{ json?: boolean }>().json === true, plain(image), () => describe(image))
    })
}

function read(file: string, offset: number): TableImage {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch (error) {
    const { code = 'Failed' } = error as NodeJS.ErrnoException
    throw new Failure(code, `${file}: ${systemReason(error)}`, exitCode.refused)
  }
  try {
    return readTableFrom(sourceOf(fd, offset))
  } catch (error) {
    if (!(error instanceof TableUnreadable)) throw error
    throw new Failure(error.code, `${file} can't be read as a table: ${error.detail}`, exitCode.refused)
  } finally {
    closeSync(fd)
  }
}

function sourceOf(fd: number, start: number): TableSource {
  const stat = fstatSync(fd)
  return {
    // A device doesn't tell its size; reading beyond its end fails.
    bytes: stat.isFile() ? Math.max(0, stat.size - start) : Number.MAX_SAFE_INTEGER,
    read(offset, length) {
      const bytes = Buffer.alloc(length)
      for (let done = 0; done < length; ) {
        const got = readSync(fd, bytes, done, length - done, start + offset + done)
        if (got === 0) throw new Error('the file ends there')
        done += got
      }
      return bytes
    },
  }
}

/** As JSON; of a secret only that there is one, for a hash can be guessed at. */
function plain(image: TableImage) {
  const { superblock, state, sequence, highWater, journalEnd, journalEntries, diagnostics } = image
  return {
    superblock,
    sequence,
    highWater,
    journalEnd,
    journalEntries,
    diagnostics,
    idsUsed: state.idsUsed,
    allocations: [...state.allocations.values()].map(({ secret, ...rest }) => ({
      ...rest,
      secret: secret !== null,
    })),
    mappings: [...state.mappings.values()],
    retired: [...state.retired.values()],
    poison: [...state.poison.values()],
    freeze: [...state.control.values()].filter(({ id }) => id === freezeId),
    update: [...state.control.values()].filter(({ id }) => id === updateId),
    lastUpdate: [...state.control.values()].filter(({ id }) => id === reportId),
    lastParticipants: [...state.control.values()].filter(({ id }) => id >= outcomeIdMin),
  }
}

const controlNames = { [freezeId]: 'frozen', [updateId]: 'update', [reportId]: 'last update' }

function describe(image: TableImage): string {
  const { superblock, state } = image
  const name = (id: number) => state.allocations.get(id)?.name ?? `(allocation ${id})`
  const parts = [
    fields([
      ['range', `${size(superblock.identity.bytes)} (${superblock.identity.bytes} bytes)`],
      ['epoch', String(superblock.epoch)],
      ['boot', superblock.bootId],
      ['sequence', String(image.sequence)],
      ['journal', `${image.journalEntries} entries`],
      ...image.diagnostics.map(sentence => ['note', sentence] as const),
      ...[...state.control.values()].flatMap(record =>
        'reason' in record
          ? [[controlNames[record.id], `${record.reason} (uid ${record.uid})`] as const]
          : [],
      ),
    ]),
    section(
      [...state.allocations.values()],
      [
        { title: 'ALLOCATION', cell: row => row.name },
        { title: 'ID', cell: row => count(row.id), right: true },
        { title: 'UID', cell: row => count(row.uid), right: true },
        { title: 'SIZE', cell: row => size(row.bytes), right: true },
        {
          title: 'EXTENTS',
          cell: row => row.extents.map(e => `${address(e.offset)}+${address(e.length)}`).join(' '),
        },
        { title: 'HOLDER', cell: row => count(row.holder?.pid), right: true },
        { title: 'VERDICT', cell: row => row.verdict },
      ],
    ),
    section(
      [...state.mappings.values()],
      [
        { title: 'MAPPING', cell: row => count(row.id), right: true },
        { title: 'ALLOCATION', cell: row => name(row.allocationId) },
        { title: 'OFFSET', cell: row => address(row.offset), right: true },
        { title: 'LENGTH', cell: row => size(row.length), right: true },
        { title: 'ACCESS', cell: row => row.access },
        { title: 'GUEST', cell: row => address(row.guestAddress), right: true },
        { title: 'UID', cell: row => count(row.uid), right: true },
        { title: 'STATE', cell: row => row.state },
      ],
    ),
    section(
      [...state.retired.values()],
      [
        { title: 'RETIRED', cell: row => row.name },
        { title: 'UID', cell: row => count(row.uid), right: true },
        { title: 'STATE', cell: row => row.state },
        { title: 'REASON', cell: row => row.reason },
      ],
    ),
    section(
      [...state.poison.values()],
      [
        { title: 'POISON', cell: row => address(row.id), right: true },
        { title: 'LENGTH', cell: row => size(row.length), right: true },
        { title: 'FOUND BY', cell: row => row.origin },
      ],
    ),
  ]
  return parts.filter(part => part !== '').join('\n\n')
}

function section<T>(rows: readonly T[], columns: Parameters<typeof table<T>>[1]): string {
  return rows.length === 0 ? '' : table(rows, columns)
}
