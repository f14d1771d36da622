/**
 * Proves that a resize by a holder is put back also where it came while the broker changed the allocation, and that however many
 * notices the kernel drops, one look at all files runs at a time, rests for longer than it takes, and the last change is seen.
 */
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { MiB } from '../../protocol/units'
import { AllocationFiles } from '../../src/broker/source/directory/allocation-files'
import { FileSizes } from '../../src/broker/source/directory/file-sizes'
import type { AllocationMemory, SourceHost } from '../../src/broker/source/source'
import { until } from '../support/test-broker'

let folder: string
let files: SlowFiles
let sizes: FileSizes
/** The allocations that the broker changes. */
let changing: Set<number>
let lookedAt: number[]
let reports: number

/** A look at all of them ends only when the test lets it. */
class SlowFiles extends AllocationFiles {
  readonly walks: { begun: number; ended?: number }[] = []
  hold: Promise<void> | undefined

  override async *each(): AsyncGenerator<number> {
    const walk: (typeof this.walks)[0] = { begun: performance.now() }
    this.walks.push(walk)
    yield* super.each()
    await this.hold
    walk.ended = performance.now()
  }
}

beforeEach(() => {
  const parent = mkdtempSync('/dev/shm/membroker-sizes-')
  folder = path.join(parent, 'range')
  mkdirSync(folder)
  files = new SlowFiles(folder)
  changing = new Set()
  lookedAt = []
  reports = 0
  const host = {
    expected: id => {
      lookedAt.push(id)
      return changing.has(id) ? undefined : memory(id)
    },
    tampered: () => {},
    limited: () => {},
    guarded: (what, work) => {
      if (what === 'looking at changed files') reports++
      work()
    },
  } as Partial<SourceHost> as SourceHost
  const rules = {
    isRight: ({ size }: { size: number }, { bytes }: AllocationMemory) => size === bytes,
    restore: async (_fd: number, { id, bytes }: AllocationMemory) => truncateSync(files.path(id), bytes),
  }
  sizes = new FileSizes(files, rules, host)
})
afterEach(() => {
  sizes.close()
  rmSync(path.dirname(folder), { recursive: true })
})

function memory(id: number): AllocationMemory {
  return { id, name: `a${id}`, uid: 0, bytes: MiB, extents: [] }
}

const make = (id: number) => closeSync(files.make(id, MiB, undefined, false))
const isPutBack = (id: number) => statSync(files.path(id)).size === MiB

/** More changes of two files than the kernel has room for: any file may have changed. */
async function flood(): Promise<void> {
  const before = reports
  const fds = [1, 2].map(id => openSync(files.path(id), 'r+'))
  for (let count = 0; count < 40_000; count++) writeSync(fds[count % 2]!, 'x', 0)
  for (const fd of fds) closeSync(fd)
  await until(() => reports > before, 'the flood is noticed')
}

test('a file that is resized while the broker changes its allocation', async () => {
  make(1)
  changing.add(1)
  truncateSync(files.path(1), 1)
  await until(() => lookedAt.includes(1), 'the broker has looked at it')
  changing.delete(1)
  await until(() => isPutBack(1), 'it is put back')
})

test('a look at all files after too many changes, and again', async () => {
  let letGo = () => {}
  files.hold = new Promise(resolve => {
    letGo = resolve
  })
  for (const id of [1, 2, 3]) make(id)
  await flood()
  await flood()
  expect(files.walks).toHaveLength(1)
  letGo()
  await until(() => files.walks[1]?.ended !== undefined, 'the last change has its look')
  expect(files.walks).toHaveLength(2)
  const [first, second] = files.walks as { begun: number; ended: number }[]
  const wantedMs = Math.min(8 * (first!.ended - first!.begun), 59_000)
  expect(second!.begun - first!.ended).toBeGreaterThan(wantedMs)
})
