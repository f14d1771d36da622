/**
 * A guest's device state in memory of the broker, for QEMU's migration by a command:
 *   node device-state.js save FILE DONE    standard input into the memory; then makes the file DONE
 *   node device-state.js load FILE         the memory to standard output
 * FILE is the memory: /proc/PID/fd/N of a descriptor that may only be mapped, not written to. The memory begins with
 * a magic number and the length, 64 bits each, little-endian; the magic number is written last.
 */
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { SystemError, Window } from '../../../native'
import { deviceStateBytesMax } from './device-state-size'

const magic = 0x6574_6174_7376_6564n
const headBytes = 16

function map(file: string): Buffer {
  const fd = openSync(file, 'r+')
  const window = new Window(fd, 0, deviceStateBytesMax, true)
  closeSync(fd)
  if (window.errno !== 0) throw new SystemError('mmap', window.errno)
  return Buffer.from(window.buffer)
}

function save(file: string, done: string): void {
  const state = readFileSync(0)
  const memory = map(file)
  if (state.length === 0 || state.length > memory.length - headBytes)
    throw new Error(`${state.length} bytes of device state are none that fit`)
  memory.writeBigUInt64LE(0n, 0)
  memory.writeBigUInt64LE(BigInt(state.length), 8)
  state.copy(memory, headBytes)
  memory.writeBigUInt64LE(magic, 0)
  writeFileSync(done, String(state.length))
}

function load(file: string): void {
  const memory = map(file)
  const length = Number(memory.readBigUInt64LE(8))
  if (memory.readBigUInt64LE(0) !== magic || length > memory.length - headBytes)
    throw new Error(`there is no device state in ${file}`)
  let from = headBytes
  while (from < headBytes + length) from += writeSync(1, memory, from, headBytes + length - from)
}

const [verb, file, done] = process.argv.slice(2)
if (verb === 'save' && file !== undefined && done !== undefined) save(file, done)
else if (verb === 'load' && file !== undefined) load(file)
else throw new Error('device-state save FILE DONE | load FILE')
