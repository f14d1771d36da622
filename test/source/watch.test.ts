/**
 * Proves that the watch over a directory names each file that somebody wrote to or resized, that files which come and go do not
 * make it report all files, and that a flood of notices does, once it is over too.
 */
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { DirectoryWatch } from '../../src/broker/source/directory/watch'
import { until } from '../support/test-broker'

let folder: string
let watch: DirectoryWatch
let reports: (ReadonlySet<string> | undefined)[]

beforeEach(() => {
  folder = mkdtempSync('/dev/shm/membroker-watch-')
  mkdirSync(path.join(folder, 'range'))
  reports = []
  watch = new DirectoryWatch(path.join(folder, 'range'), {
    changed: names => reports.push(names),
    blind: error => {
      if (error) throw error
    },
  })
})
afterEach(() => {
  watch.close()
  rmSync(folder, { recursive: true })
})

const fileOf = (name: string) => path.join(folder, 'range', name)
const isNamed = (name: string) => reports.some(names => names?.has(name))

test('files that come and go, hundreds at a time, are named at most', async () => {
  for (let round = 0; round < 500; round++) {
    const fd = openSync(fileOf(`alloc-${round}`), 'wx')
    truncateSync(fileOf(`alloc-${round}`), 4096)
    truncateSync(fileOf(`alloc-${round}`), 0)
    closeSync(fd)
    rmSync(fileOf(`alloc-${round}`))
  }
  const outside = path.join(folder, 'alloc-last')
  closeSync(openSync(outside, 'wx'))
  renameSync(outside, fileOf('alloc-last'))
  truncateSync(fileOf('alloc-last'), 2)
  await until(() => isNamed('alloc-last'), 'the last file is named')
  expect(reports).not.toContain(undefined)
})

test('after a flood, all files may have changed, and the next change is named again', async () => {
  const fds = ['alloc-1', 'alloc-2'].map(name => openSync(fileOf(name), 'wx'))
  // The kernel merges a notice with an equal one before it. It keeps 16,384, and drops more.
  for (let count = 0; count < 40_000; count++) writeSync(fds[count % 2]!, 'x', 0)
  await until(() => reports.includes(undefined), 'all files are reported')
  reports = []
  writeSync(fds[0]!, 'x', 0)
  await until(() => isNamed('alloc-1'), 'the next change is named')
  for (const fd of fds) closeSync(fd)
})
