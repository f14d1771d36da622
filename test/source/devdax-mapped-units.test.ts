/** Proves that what processes have mapped of a file is counted by unit, from the page tables the kernel shows. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Window } from '../../native'
import { mappedUnits } from '../../src/broker/source/devdax/mapped-units'

const unitBytes = 4096
let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-mapped-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test('only what is in the page tables counts, by its place in the file, once for each mapping', () => {
  const name = path.join(folder, 'file')
  const fd = openSync(name, 'w+')
  ftruncateSync(fd, 4 * unitBytes)
  const { dev, ino } = statSync(name)
  const count = () => mappedUnits([process.pid], { dev, ino, bytes: 4 * unitBytes, unitBytes })
  expect(count()).toEqual([0, 0, 0, 0])
  const whole = new Window(fd, 0, 4 * unitBytes, true)
  const part = new Window(fd, 2 * unitBytes, 2 * unitBytes, true)
  Buffer.from(whole.buffer).writeUInt8(1, 0)
  Buffer.from(whole.buffer).writeUInt8(1, 3 * unitBytes)
  Buffer.from(part.buffer).writeUInt8(1, unitBytes)
  const [first, , , last] = count()
  expect([first, last]).toEqual([1, 2])
  whole.revoke()
  expect(count()[3]).toBe(1)
  part.revoke()
  expect(count()).toEqual([0, 0, 0, 0])
  closeSync(fd)
})

test('a process that is gone has nothing mapped', () => {
  expect(mappedUnits([999_999_999], { dev: 1, ino: 1, bytes: 8192, unitBytes })).toEqual([0, 0])
})
