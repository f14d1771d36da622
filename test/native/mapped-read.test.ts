// Proves that mappedRead copies the bytes asked for, wherever they lie, and that memory which is not there is an error
// and not the end of the process.
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { devNull } from 'node:os'
import { native } from '../../native'
import { checkFdLeaks } from './harness'

checkFdLeaks()
const page = 4096
const code = (name: string) => expect.objectContaining({ name: 'SystemError', code: name })

function memfd(bytes: number): number {
  const fd = native.memfdCreate('mapped-read', { hugePageBytes: 0, allowSealing: false })
  ftruncateSync(fd, bytes)
  return fd
}

test.each([page, 2 ** 21])('bytes at any place, in pages of %d', pageBytes => {
  const bytes = 4 * pageBytes
  const content = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at += 4) content.writeUInt32LE(at, at)
  const fd = memfd(bytes)
  writeSync(fd, content)
  for (const [offset, length] of [
    [0, 1],
    [1, page],
    [pageBytes - 1, 2],
    [pageBytes + 5, 2 * page],
    [bytes - 1, 1],
    [0, Math.min(bytes, 2 ** 20)],
  ] as const)
    expect(
      native.mappedRead(fd, offset, length, pageBytes).equals(content.subarray(offset, offset + length)),
    ).toBe(true)
  closeSync(fd)
})

test('beyond the end, and in a file cut short, is EFAULT', () => {
  const fd = memfd(2 * page)
  expect(() => native.mappedRead(fd, 2 * page, 1, page)).toThrow(code('EFAULT'))
  expect(() => native.mappedRead(fd, page, 2 * page, page)).toThrow(code('EFAULT'))
  ftruncateSync(fd, page)
  expect(() => native.mappedRead(fd, page, 1, page)).toThrow(code('EFAULT'))
  expect(native.mappedRead(fd, 0, page, page)).toHaveLength(page)
  closeSync(fd)
})

test('what can not be mapped says so', () => {
  const fd = openSync(devNull, 'r')
  expect(() => native.mappedRead(fd, 0, 1, page)).toThrow(code('ENODEV'))
  closeSync(fd)
  const memory = memfd(page)
  expect(() => native.mappedRead(memory, Number.MAX_SAFE_INTEGER, 1, 2 ** 53 - 1)).toThrow()
  expect(() => native.mappedRead(memory, 0, 1, 0)).toThrow(code('EINVAL'))
  expect(() => native.mappedRead(memory, 0, 2 ** 20 + 1, page)).toThrow('argument 3')
  expect(() => native.mappedRead(memory, 0, 0, page)).toThrow('argument 3')
  closeSync(memory)
})
