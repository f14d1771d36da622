/**
 * Proves that the small VMM's guest goes on in a new process from the value in its memory, whatever ended the old
 * one.
 */
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'
import { TestBroker } from '../support/test-broker'
import { buildGuest, kvmWorks } from './build'
import { GuestProcess } from './guest-process'
import { readTinyGuestCounter, startTinyVmm, type TinyVmmOptions, tinyGuestCounterOffset } from './tiny-vmm'

const bytes = 2 * 1024 * 1024
const program = buildGuest()
const kvm = kvmWorks()

describe('tiny-vmm', () => {
  const started: GuestProcess[] = []
  let folder: string
  let fd: number

  beforeEach(() => {
    folder = mkdtempSync('/dev/shm/membroker-tiny-vmm-')
    fd = openSync(path.join(folder, 'ram'), 'w+')
    ftruncateSync(fd, bytes)
  })

  afterEach(async () => {
    await Promise.all(started.splice(0).map(vmm => vmm.kill()))
    closeSync(fd)
    rmSync(folder, { recursive: true })
  })

  function start(options: Partial<TinyVmmOptions>): GuestProcess {
    if (program === undefined) throw new Error('no program')
    const vmm = startTinyVmm({ program, fd, bytes, start: 'boot', ...options })
    started.push(vmm)
    return vmm
  }

  if (program === undefined) {
    test('this machine can’t have the program: it has no C compiler, or is not a PC', () => {
      console.warn('LEFT OUT: every test of the tiny guest, because its monitor was not built here')
      expect(process.arch === 'x64' && process.env.CI).toBeFalsy()
    })
    return
  }

  if (kvm) {
    test('a guest killed at any moment goes on in a new process from the very value in its memory', async () => {
      const first = start({ tickEvery: 7 })
      expect(await first.counterBeyond(0n)).toBe(7n)
      await first.counterBeyond(70n)
      expect(await first.kill()).toEqual({ code: null, signal: 'SIGKILL' })
      const left = readTinyGuestCounter(fd)
      expect(left).toBeGreaterThanOrEqual(first.counter!)

      const second = start({ start: 'resume' })
      expect(await second.line(line => line.startsWith('resumed'))).toBe(`resumed ${left}`)
      expect(await second.counterBeyond(0n)).toBe(left + 7n)
      await second.counterBeyond(left + 7n)
    })

    test('resume writes nothing: memory without a guest stays as it was and is refused', async () => {
      const vmm = start({ start: 'resume' })
      expect(await vmm.exited).toEqual({ code: 1, signal: null })
      expect(vmm.complaints).toBe('tiny-vmm: no guest in this memory to resume\n')
      expect(readFileSync(path.join(folder, 'ram')).equals(Buffer.alloc(bytes))).toBe(true)
    })

    test('the counter has 64 bits: it carries over where 32 end', async () => {
      const first = start({ tickEvery: 1000 })
      await first.counterBeyond(0n)
      await first.kill()
      const counter = Buffer.alloc(8)
      counter.writeBigUInt64LE(2n ** 32n - 1n)
      writeSync(fd, counter, 0, counter.length, tinyGuestCounterOffset)
      const second = start({ start: 'resume' })
      expect(await second.counterBeyond(2n ** 32n)).toBe(2n ** 32n + 999n)
    })

    test('with memory of its own from the broker: it goes on after a kill, and gives it back when asked', async () => {
      const broker = await TestBroker.start({ main: { graceMs: 100_000 } })
      const run = (...how: string[]) => {
        const vmm = new GuestProcess([program, '--name', 'tiny/ram', ...how], {
          env: { MEMBROKER_SOCKET: broker.socket },
        })
        started.push(vmm)
        return vmm
      }
      try {
        const first = run('--size', String(bytes), '--boot', '--tick-every', '7')
        await first.counterBeyond(70n)
        await first.kill()
        await broker.restart()
        const second = run('--resume')
        const resumed = BigInt(
          (await second.line(line => line.startsWith('resumed '))).slice('resumed '.length),
        )
        expect(resumed).toBeGreaterThanOrEqual(first.counter!)
        await second.counterBeyond(resumed + 70n)
        // The owner takes it back: no kernel structure of KVM may reach it any more.
        expect(await broker.client().call('Release', { name: 'tiny/ram', graceMs: 100_000 })).toMatchObject({
          outcome: 'released',
        })
        await second.line(line => line === 'revoked')
        expect(await second.exited).toEqual({ code: 0, signal: null })
      } finally {
        await broker.dispose()
      }
    })

    test('SIGTERM ends it cleanly', async () => {
      const vmm = start({})
      await vmm.counterBeyond(0n)
      expect(await vmm.kill('SIGTERM')).toEqual({ code: 0, signal: null })
      expect(vmm.complaints).toBe('')
    })

    test('memory that vanishes under the guest is one plain line and exit status 3', async () => {
      const vmm = start({})
      await vmm.counterBeyond(0n)
      ftruncateSync(fd, 0)
      expect(await vmm.exited).toEqual({ code: 3, signal: null })
      expect(vmm.complaints).toMatch(/^tiny-vmm: the memory is gone: [^\n]+\n$/)
    })

    test('guests of any size: memory beyond 3 GiB does not meet KVM’s own pages', async () => {
      const large = 5 * 1024 ** 3
      ftruncateSync(fd, large) // sparse: costs only the pages the guest touches
      const vmm = start({ bytes: large })
      await vmm.counterBeyond(0n)
    })
  } else {
    console.warn('LEFT OUT: /dev/kvm does not work here, so no tiny guest ran')
  }

  test('without KVM it says so in one line and exits with status 4', async () => {
    const vmm = start(kvm ? { device: path.join(folder, 'no-such-device') } : {})
    expect(await vmm.exited).toEqual({ code: 4, signal: null })
    expect(vmm.complaints).toMatch(/^tiny-vmm: no KVM: [^\n]+\n$/)
  })

  test('bad arguments are refused with status 2', async () => {
    const vmm = start({ bytes: 4097 })
    expect(await vmm.exited).toEqual({ code: 2, signal: null })
  })
})
