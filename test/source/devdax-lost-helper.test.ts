/**
 * Proves that a helper that ended after it had removed a device, and before it could say so, costs nobody the memory that
 * gets the device's name next: neither is it opened for another allocation, nor taken away with it.
 */
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DevdaxSource } from '../../src/broker/source/devdax/devdax'
import { Helper } from '../../src/broker/source/devdax/helper'
import type { SourceHost } from '../../src/broker/source/source'

const MiB = 2 ** 20
const base = 2 ** 30
const alignBytes = 2 * MiB
const name = 'dax0.1'
let folder: string
let lock: number
let helper: Helper

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-lost-helper-'))
  lock = openSync(path.join(folder, 'lock'), 'w')
  const program = path.join(folder, 'program.js')
  // The first removal is done and not answered; of the others is only noted that they were asked for.
  writeFileSync(
    program,
    `const { appendFileSync, rmSync, existsSync } = require('fs')
     process.on('message', ({ id, remove }) => {
       if (!remove) return process.send({ id, code: 'ENOMEM', message: 'no device is made here' })
       appendFileSync(${JSON.stringify(path.join(folder, 'asked'))}, remove.name + '\\n')
       rmSync(${JSON.stringify(path.join(folder, name))}, { recursive: true })
       process.exit(1)
     })
     process.on('disconnect', () => process.exit())`,
  )
  helper = new Helper(lock, () => {}, { program, limitMs: 60_000, goOn: () => {} })
})
afterEach(() => {
  helper.close()
  closeSync(lock)
  rmSync(folder, { recursive: true })
})

function device(start: number): void {
  const device = path.join(folder, name)
  const attributes = { size: alignBytes, align: alignBytes, dev: '252:1' }
  mkdirSync(path.join(device, 'mapping0'), { recursive: true })
  for (const [attribute, value] of Object.entries(attributes))
    writeFileSync(path.join(device, attribute), `${value}\n`)
  const mapping = { start, end: start + alignBytes - 1, page_offset: 0 }
  for (const [attribute, value] of Object.entries(mapping))
    writeFileSync(path.join(device, 'mapping0', attribute), `0x${value.toString(16)}\n`)
  mkdirSync(path.join(folder, 'drivers/device_dax'), { recursive: true })
  symlinkSync(path.join(folder, 'drivers/device_dax'), path.join(device, 'driver'))
}

const piece = {
  id: 7,
  name: 'seven',
  uid: 0,
  bytes: alignBytes,
  extents: [{ offset: alignBytes, length: alignBytes }],
}

test('a device of that name is another one', async () => {
  device(base + alignBytes)
  const region = { directory: folder, id: 0, start: base, bytes: 64 * MiB, alignBytes, node: undefined }
  const host = { openBy: () => undefined } as unknown as SourceHost
  const opened = {
    region,
    unitBytes: alignBytes,
    tableBytes: alignBytes,
    table: 'dax0.9',
    helper,
    lock,
    host,
  }
  const source: DevdaxSource = Reflect.construct(DevdaxSource, [{ ...opened, counting: { perMapping: 0 } }])
  await source.recover([piece], [], false)
  expect(source.present()).toEqual([piece.id])
  await expect(source.destroy(piece)).rejects.toMatchObject({ code: 'EIO' })
  device(base + 32 * MiB)
  expect(() => source.open(piece, false)).toThrow(/the broker is making its device again/)
  expect(await source.prove(piece.id, undefined)).toEqual({ kind: 'gone' })
  // It goes on to the scrubbing, for which it asks for a device of its own.
  await expect(source.destroy(piece)).rejects.toMatchObject({ code: 'ENOMEM' })
  expect(readFileSync(path.join(folder, 'asked'), 'latin1')).toBe(`${name}\n`)
})
