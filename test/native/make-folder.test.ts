/** Proves that a folder is made with those above it, and that one that can't be made is an error and no hang. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { makeFolder } from '../../native/make-folder'

let folder: string
beforeEach(() => {
  folder = mkdtempSync('/tmp/mbf-')
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

const modeOf = (file: string) => statSync(file).mode & 0o7777

test('the folder and those above it are there, with the mode, and one that is there keeps its own', () => {
  const above = path.join(folder, 'a')
  makeFolder(path.join(above, 'b', 'c'), 0o711)
  expect(['.', 'b', 'b/c'].map(name => modeOf(path.join(above, name)))).toEqual([0o711, 0o711, 0o711])
  makeFolder(path.join(above, 'b'), 0o700)
  expect(modeOf(path.join(above, 'b'))).toBe(0o711)
  makeFolder('/', 0o700)
})

test('a filesystem that makes no folders', () => {
  expect(() => makeFolder('/proc/none/deeper', 0o755)).toThrow(/ENOENT/)
})

test('a file in its place, and above it', () => {
  const file = path.join(folder, 'file')
  writeFileSync(file, '')
  expect(() => makeFolder(file, 0o755)).toThrow(/EEXIST/)
  expect(() => makeFolder(path.join(file, 'deeper'), 0o755)).toThrow(/ENOTDIR/)
})
