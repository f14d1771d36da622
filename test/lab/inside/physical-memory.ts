import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { SystemError, Window } from '../../../native'

/**
 * Run with the bytes of a piece of a device file mapped, shared and writable.
 * @param offset and length: as the device wants them aligned
 */
export function withMapped<T>(file: string, offset: number, length: number, use: (bytes: Buffer) => T): T {
  const fd = openSync(file, 'r+')
  const window = new Window(fd, offset, length, true)
  closeSync(fd)
  if (window.errno !== 0) throw new SystemError('mmap', window.errno)
  try {
    return use(Buffer.from(window.buffer))
  } finally {
    window.revoke()
  }
}

/** Fill memory so that every page differs from every other, and from those of another seed. */
export function fillWithPattern(bytes: Buffer, seed: number): void {
  bytes.fill(seed & 0xff)
  for (let offset = 0; offset < bytes.length; offset += 4096) {
    bytes.writeUInt32LE(seed, offset)
    bytes.writeUInt32LE(offset, offset + 4)
    bytes.writeUInt32LE(~offset >>> 0, offset + 4092)
  }
}

export function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/**
 * A device-DAX instance over physical memory, made by the plain writes to sysfs, without the project.
 * @param directory of the region in sysfs; default: that of the first
 * @returns the path of its device
 */
export function makeDaxInstance(base: number, bytes: number, directory = firstRegion()): string {
  const devices = '/sys/bus/dax/devices'
  const driver = '/sys/bus/dax/drivers/device_dax'
  const region = path.join(directory, 'dax_region')
  writeFileSync(`${region}/create`, '1')
  const name = readFileSync(`${region}/seed`, 'utf8').trim()
  const instance = `${devices}/${name}`
  writeFileSync(`${instance}/mapping`, `${base.toString(16)}-${(base + bytes - 1).toString(16)}`)
  // A kernel may take a length it can't do for done, and add nothing.
  const made = Number(readFileSync(`${instance}/size`, 'utf8'))
  if (made !== bytes) throw new Error(`${name} has ${made} bytes instead of ${bytes}`)
  writeFileSync(`${driver}/new_id`, name)
  return `/dev/${name}`
}

function firstRegion(): string {
  return path.dirname(realpathSync('/sys/bus/dax/devices/dax0.0'))
}
