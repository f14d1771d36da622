import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { makeDevice } from './device-node'

const pageBytes = 4096
const entryBytes = 8

interface File {
  dev: number
  ino: number
  bytes: number
  unitBytes: number
}

/** Counts how often each unit of a file is in the page tables of these processes, which are stopped. */
export function mappedUnits(pids: Iterable<number>, file: File, proc = '/proc'): number[] {
  const mapped = new Array<number>(file.bytes / file.unitBytes).fill(0)
  for (const pid of pids) count(`${proc}/${pid}`, file, mapped)
  return mapped
}

function count(own: string, file: File, mapped: number[]): void {
  let pagemap: number | undefined
  try {
    for (const line of readFileSync(`${own}/maps`, 'latin1').split('\n')) {
      const area = parse(line, file)
      if (!area) continue
      pagemap ??= openSync(`${own}/pagemap`, 'r')
      for (let at = area.start; at < area.end; at += file.unitBytes)
        if (isPresent(pagemap, at)) mapped[(area.offset + at - area.start) / file.unitBytes]!++
    }
  } catch (error) {
    // Somebody killed the process meanwhile: it has nothing mapped.
    if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code!)) throw error
  } finally {
    if (pagemap !== undefined) closeSync(pagemap)
  }
}

function parse(line: string, { dev, ino }: File) {
  const match = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+)/.exec(line)
  if (!match) return undefined
  const [start, end, offset, major, minor] = match.slice(1, 6).map(hex => Number.parseInt(hex!, 16))
  if (Number(match[6]) !== ino || makeDevice(major!, minor!) !== dev) return undefined
  return { start: start!, end: end!, offset: offset! }
}

function isPresent(pagemap: number, address: number): boolean {
  const entry = Buffer.alloc(entryBytes)
  readSync(pagemap, entry, 0, entryBytes, (address / pageBytes) * entryBytes)
  return (entry[7]! & 0x80) !== 0
}
