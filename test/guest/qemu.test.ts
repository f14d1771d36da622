/** Proves that a QEMU guest on inherited memory goes on in a new process. */
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { counterAddress } from './counter-guest'
import { Qemu, type QemuOptions } from './qemu'
import { requireQemu } from './require-qemu'

const ramBytes = 64 * 1024 * 1024
const program = requireQemu()

describe('QEMU on inherited memory', () => {
  const started: Qemu[] = []
  let folder: string
  let fd: number

  beforeEach(() => {
    folder = mkdtempSync('/dev/shm/membroker-qemu-')
    fd = openSync(path.join(folder, 'ram'), 'w+')
    ftruncateSync(fd, ramBytes)
  })

  afterEach(async () => {
    await Promise.all(started.splice(0).map(qemu => qemu.kill()))
    closeSync(fd)
    rmSync(folder, { recursive: true })
  })

  /** Boot, let it count, save to the file returned, SIGKILL. */
  async function countSaveKill(options: QemuOptions): Promise<string> {
    const state = path.join(folder, 'state')
    const qemu = await Qemu.boot(options)
    started.push(qemu)
    await qemu.process.counterBeyond(20n)
    await qemu.save(state)
    await qemu.kill()
    const seen = Number(qemu.process.counter)
    // Stopped between count and print, memory may be one ahead of the serial port.
    expect(readCounter(fd) - seen).toBeGreaterThanOrEqual(0)
    expect(readCounter(fd) - seen).toBeLessThanOrEqual(1)
    return state
  }

  async function load(options: QemuOptions, state: string): Promise<Qemu> {
    const qemu = await Qemu.load(options, state)
    started.push(qemu)
    return qemu
  }

  /** Every counter printed from now on continues from the given one without a gap. */
  async function expectCountsOnFrom(qemu: Qemu, counter: number): Promise<void> {
    await qemu.cont()
    await qemu.process.counterBeyond(BigInt(counter + 20))
    const counters = qemu.process.lines.flatMap(line => /^counter (\d+)$/.exec(line)?.[1] ?? []).map(Number)
    expect([counter, counter + 1]).toContain(counters[0])
    expect(counters).toEqual(counters.map((_, index) => counters[0]! + index))
  }

  if (program === undefined) {
    test('nothing of this suite ran: QEMU is missing', () => {
      expect(process.env.CI).toBeFalsy()
    })
    return
  }

  test('a guest killed after saving its devices goes on from the very value it had', async () => {
    const options = { program, folder, ramBytes, fd }
    const state = await countSaveKill(options)
    const left = readCounter(fd)
    expect(statSync(state).size).toBeLessThan(1024 * 1024) // devices only: the RAM is 64 MiB

    const resumed = await load(options, state)
    expect(readCounter(fd)).toBe(left)
    await expectCountsOnFrom(resumed, left)
  })

  test('the memory itself carries the guest: what it holds at resume is what the guest sees', async () => {
    const options = { program, folder, ramBytes, fd }
    const state = await countSaveKill(options)
    writeCounter(fd, 4_000_000)
    await expectCountsOnFrom(await load(options, state), 4_000_000)
  })

  test('a QEMU that can’t start fails with QEMU’s own words', async () => {
    const state = path.join(folder, 'state')
    await expect(Qemu.load({ program, folder, ramBytes, fd }, state)).rejects.toThrow('ENOENT')
    writeFileSync(state, 'this is no saved machine')
    await expect(Qemu.load({ program, folder, ramBytes, fd }, state)).rejects.toThrow(/load: .*migration/s)
    await expect(Qemu.boot({ program, folder, ramBytes: 3, fd })).rejects.toThrow(/start: .*memory/s)
  })
})

function readCounter(fd: number): number {
  const bytes = Buffer.alloc(4)
  expect(readSync(fd, bytes, 0, bytes.length, counterAddress)).toBe(bytes.length)
  return bytes.readUInt32LE()
}

function writeCounter(fd: number, counter: number): void {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(counter)
  expect(writeSync(fd, bytes, 0, bytes.length, counterAddress)).toBe(bytes.length)
}
