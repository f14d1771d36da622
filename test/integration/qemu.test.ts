/**
 * Proves that a virtual machine monitor nobody here wrote lives on broker memory: Debian's QEMU, started by
 * `broker-ctl exec`, is killed together with the broker, and its guest goes on from the very value it had.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { counterAddress } from '../guest/counter-guest'
import { Qemu, type QemuOptions } from '../guest/qemu'
import { withQemu } from '../guest/require-qemu'
import { sameFds, settledFds } from '../support/leaks-nothing'
import { packageRoot } from '../support/package-root'
import { TestBroker, until } from '../support/test-broker'

const MiB = 2 ** 20
const ramBytes = 64 * MiB

withQemu(program => {
  let broker: TestBroker
  let fdsBefore: string[]
  let folder: string
  const started: Qemu[] = []

  beforeEach(async () => {
    fdsBefore = await settledFds()
    broker = await TestBroker.start()
    folder = mkdtempSync('/tmp/mbq-')
  })
  afterEach(async () => {
    await Promise.all(started.splice(0).map(qemu => qemu.kill()))
    await broker.dispose()
    await sameFds(fdsBefore)
    rmSync(folder, { recursive: true })
  })

  const options = (): QemuOptions => ({
    program,
    folder,
    ramBytes,
    launcher: [
      process.execPath,
      path.join(packageRoot, 'dist/program/broker-ctl.js'),
      'exec',
      '--map',
      'vm0/ram:fd=9',
      '--allocate',
      '64M',
      '--',
    ],
    env: { ...process.env, MEMBROKER_SOCKET: broker.socket },
  })

  function storedCounter(): number {
    return readFileSync(path.join(broker.directory, 'alloc-1')).readUInt32LE(counterAddress)
  }

  test('its guest goes on from its counter after QEMU and broker were killed', async () => {
    const state = path.join(folder, 'state')
    const qemu = await Qemu.boot(options())
    started.push(qemu)
    await qemu.process.counterBeyond(20n)
    const held = await broker.ask('GetAllocation', { name: 'vm0/ram' })
    expect(held.allocation.holderPid).toBe(qemu.process.pid)
    expect(held.mappings).toMatchObject([{ state: 'held', pid: qemu.process.pid, length: ramBytes }])

    await qemu.save(state)
    await Promise.all([qemu.kill(), broker.kill()])
    const left = storedCounter()
    expect(left).toBeGreaterThan(20)

    await broker.start()
    const resumed = await Qemu.load(options(), state)
    started.push(resumed)
    expect(storedCounter()).toBe(left)
    await resumed.cont()
    await resumed.process.counterBeyond(BigInt(left + 20))
    const counters = resumed.process.lines
      .flatMap(line => /^counter (\d+)$/.exec(line)?.[1] ?? [])
      .map(Number)
    expect([left, left + 1]).toContain(counters[0])
    expect(counters).toEqual(counters.map((_, index) => counters[0]! + index))
  })

  test('a running guest does not notice the death of the broker, and its end frees the memory', async () => {
    const free = await broker.freeBytes()
    const qemu = await Qemu.boot(options())
    started.push(qemu)
    await qemu.process.counterBeyond(5n)
    await broker.kill()
    await qemu.process.counterBeyond(qemu.process.counter! + 20n)
    await broker.start()
    const client = broker.client()
    expect((await client.call('GetAllocation', { name: 'vm0/ram' })).allocation.holderPid).toBe(
      qemu.process.pid,
    )
    await expect(client.call('Claim', { name: 'vm0/ram' })).rejects.toMatchObject({
      error: 'io.membroker.Broker.AlreadyClaimed',
    })
    await expect(client.call('Release', { name: 'vm0/ram', graceMs: 0 })).resolves.toMatchObject({
      outcome: 'quarantined',
    })
    await qemu.process.counterBeyond(qemu.process.counter! + 5n)
    await qemu.kill()
    await until(async () => (await broker.freeBytes()) === free, 'the memory of the ended guest is free')
  })
})
