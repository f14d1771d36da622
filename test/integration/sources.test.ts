/**
 * Proves that every source gives the same service: memory that is what was asked for, zero at first, shared between
 * holders, back after its mapping ended, and gone with its release; and that nothing is left behind.
 */
import { fstatSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type NativeWindow, native, Window } from '../../native'
import { runNow } from '../support/child'
import { sameFds, settledFds } from '../support/leaks-nothing'
import { needsHugePages } from '../support/needs-huge-pages'
import { TestBroker, type TestBrokerOptions, type TestClient, until } from '../support/test-broker'

const MiB = 2 ** 20

interface Backend {
  name: string
  pageBytes: number
  shrinks: 'whileOpen' | 'whileClosed' | 'never'
  setUp(): { options: TestBrokerOptions; tearDown(): void }
}

const hasHugePages = needsHugePages('the directory source on hugetlbfs')

const backends: Backend[] = [
  {
    name: 'directory on tmpfs',
    pageBytes: 4096,
    shrinks: 'whileOpen',
    setUp: () => ({ options: {}, tearDown: () => {} }),
  },
  {
    name: 'directory on a disk filesystem',
    pageBytes: 4096,
    shrinks: 'whileClosed',
    setUp: () => {
      const directory = mkdtempSync(path.join(tmpdir(), 'membroker-disk-'))
      return { options: { directory }, tearDown: () => rmSync(directory, { recursive: true }) }
    },
  },
  ...(hasHugePages
    ? [
        {
          name: 'directory on hugetlbfs',
          pageBytes: 2 * MiB,
          shrinks: 'whileClosed' as const,
          setUp: setUpHugetlbfs,
        },
      ]
    : []),
  {
    name: 'memfd',
    pageBytes: 4096,
    shrinks: 'never',
    setUp: () => ({
      options: { config: '[[range]]\nname = "default"\nsource = "memfd"\nbytes = "256MiB"\n' },
      tearDown: () => {},
    }),
  },
]

function setUpHugetlbfs() {
  const mount = mkdtempSync(path.join(tmpdir(), 'membroker-huge-'))
  runNow('mount', ['-t', 'hugetlbfs', '-o', 'pagesize=2M', 'none', mount])
  const directory = path.join(mount, 'range')
  mkdirSync(directory, { mode: 0o700 })
  return {
    options: { directory, bytes: 64 * MiB },
    tearDown: () => {
      runNow('umount', [mount])
      rmSync(mount, { recursive: true })
    },
  }
}

const windows: NativeWindow[] = []

function view(fd: number, offset: number, length: number): Buffer {
  const window = new Window(fd, offset, length, true)
  expect(window.errno).toBe(0)
  windows.push(window)
  return Buffer.from(window.buffer)
}

describe.each(backends)('$name', ({ pageBytes, shrinks, setUp }) => {
  let broker: TestBroker
  let client: TestClient
  let tearDown: () => void
  let fdsBefore: string[]

  beforeAll(async () => {
    fdsBefore = await settledFds()
    const backend = setUp()
    tearDown = backend.tearDown
    broker = await TestBroker.start(backend.options)
    client = broker.client()
  })
  afterAll(async () => {
    await broker.dispose()
    await sameFds(fdsBefore)
    tearDown()
  })

  test('memory is zero, its own, shared between mappings, and released', async () => {
    const free = await broker.freeBytes()
    const { allocation } = await client.call('Allocate', { name: 'vm0/ram', bytes: 2 * pageBytes + 1 })
    expect(allocation.bytes).toBe(3 * pageBytes)
    expect(allocation.holderPid).toBe(process.pid)
    expect(await broker.freeBytes()).toBe(free - allocation.bytes)
    const other = (await client.call('Allocate', { name: 'vm0/state', bytes: pageBytes })).allocation

    const first = await client.call('CreateMapping', {
      name: 'vm0/ram',
      guestAddress: 0,
      metadata: { slot: 1 },
    })
    expect(first.grant.mapping).toMatchObject({
      offset: 0,
      length: allocation.bytes,
      access: 'readWrite',
      guestAddress: 0,
      metadata: { slot: 1 },
      state: 'held',
      pid: process.pid,
    })
    const second = await client.call('CreateMapping', {
      name: 'vm0/ram',
      offset: pageBytes,
      length: pageBytes,
    })
    const state = await client.call('CreateMapping', { name: 'vm0/state' })
    const whole = view(first.fds[first.grant.fileDescriptor]!, first.grant.mmapOffset, allocation.bytes)
    expect(whole.equals(Buffer.alloc(allocation.bytes))).toBe(true)
    whole.write('seen by both', pageBytes + 100)
    const part = view(second.fds[0]!, second.grant.mmapOffset, pageBytes)
    expect(part.toString('latin1', 100, 112)).toBe('seen by both')
    expect(view(state.fds[0]!, 0, pageBytes).equals(Buffer.alloc(pageBytes))).toBe(true)
    expect(fstatSync(first.fds[0]!).size).toBe(allocation.bytes)
    expect(fstatSync(first.fds[0]!).mode & 0o777).toBe(0o600)

    const readOnly = await client.call('CreateMapping', { name: 'vm0/ram', access: 'read' })
    expect(new Window(readOnly.fds[0]!, 0, pageBytes, true).errno).not.toBe(0)

    await expect(client.call('Release', { name: 'vm0/ram', graceMs: 0 })).resolves.toMatchObject({
      outcome: 'quarantined',
    })
    await expect(client.call('GetAllocation', { name: 'vm0/ram' })).rejects.toMatchObject({
      error: 'io.membroker.Broker.NotFound',
    })
    expect(await broker.freeBytes()).toBe(free - allocation.bytes - other.bytes)
    expect(whole.toString('latin1', pageBytes + 100, pageBytes + 112)).toBe('seen by both')
    for (const window of windows.splice(0)) window.revoke()
  })

  test('memory in quarantine becomes free when its last holder is gone', async () => {
    const child = broker.client()
    await child.call('Allocate', { name: 'passing', bytes: pageBytes })
    const { fds } = await child.call('CreateMapping', { name: 'passing' })
    await expect(child.call('Release', { name: 'passing', graceMs: 0 })).resolves.toMatchObject({
      outcome: 'quarantined',
    })
    const quarantined = async () =>
      (await client.call('GetStatus', {})).retired.some(r => r.allocation === 'passing')
    expect(await quarantined()).toBe(true)
    child.closeFd(fds[0]!)
    await until(async () => !(await quarantined()), 'the quarantine is over')
  })

  test('a released allocation without holders is free at once, and the next one is zero', async () => {
    const free = await broker.freeBytes()
    for (let round = 0; round < 5; round++) {
      await client.call('Allocate', { name: 'again', bytes: pageBytes })
      const { fds } = await client.call('CreateMapping', { name: 'again' })
      const window = new Window(fds[0]!, 0, pageBytes, true)
      const bytes = Buffer.from(window.buffer)
      expect(bytes.equals(Buffer.alloc(pageBytes))).toBe(true)
      bytes.fill(0xaa)
      window.revoke()
      client.closeFd(fds[0]!)
      await expect(client.call('Release', { name: 'again', graceMs: 2000 })).resolves.toMatchObject({
        outcome: 'released',
      })
      expect(await broker.freeBytes()).toBe(free)
    }
  })

  test('discarded pieces go back to the host and read as zeros; what is charged for them stays', async () => {
    const { allocation } = await client.call('Allocate', { name: 'balloon', bytes: 4 * pageBytes })
    const { fds } = await client.call('CreateMapping', { name: 'balloon' })
    const memory = view(fds[0]!, 0, allocation.bytes).fill(0xaa)
    const [free, usage] = [await broker.freeBytes(), (await client.call('GetStatus', {})).usage]
    const before = (await client.call('GetAllocation', { name: 'balloon' })).residentBytes!
    expect(before).toBeGreaterThanOrEqual(allocation.bytes)
    const pieces = [
      { offset: 3 * pageBytes, length: pageBytes },
      { offset: 0, length: 2 * pageBytes },
    ]
    const { residentBytes } = await client.call('Discard', { name: 'balloon', pieces })
    expect(residentBytes).toBe(before - 3 * pageBytes)
    expect((await client.call('GetAllocation', { name: 'balloon' })).residentBytes).toBe(residentBytes)
    expect([await broker.freeBytes(), (await client.call('GetStatus', {})).usage]).toEqual([free, usage])
    const wanted = Buffer.alloc(allocation.bytes).fill(0xaa, 2 * pageBytes, 3 * pageBytes)
    expect(memory.equals(wanted)).toBe(true)
    memory.fill(0xbb)
    // A holder may do so itself, by its descriptor.
    await native.punchHole(fds[0]!, pageBytes, pageBytes)
    expect((await client.call('GetAllocation', { name: 'balloon' })).residentBytes).toBe(before - pageBytes)
    for (const window of windows.splice(0)) window.revoke()
    client.closeFd(fds[0]!)
    await expect(client.call('Release', { name: 'balloon' })).resolves.toMatchObject({ outcome: 'released' })
  })

  test('the end of an allocation that became smaller is free, and zero for the next', async () => {
    const free = await broker.freeBytes()
    await client.call('Allocate', { name: 'smaller', bytes: 4 * pageBytes })
    const { fds } = await client.call('CreateMapping', { name: 'smaller', length: 2 * pageBytes })
    view(fds[0]!, 0, 4 * pageBytes).fill(0xaa)
    for (const window of windows.splice(0)) window.revoke()
    const refused = client.call('Shrink', { name: 'smaller', bytes: pageBytes })
    await expect(refused).rejects.toMatchObject({ error: expect.stringMatching(/Busy$/) })
    const shrink = () => client.call('Shrink', { name: 'smaller', bytes: 2 * pageBytes - 1 })
    if (shrinks !== 'whileOpen') {
      const code = shrinks === 'never' ? 'EOPNOTSUPP' : 'EBUSY'
      await expect(shrink()).rejects.toMatchObject({ parameters: { operation: 'shrink', code } })
      client.closeFd(fds[0]!)
    }
    if (shrinks === 'never') {
      await client.call('Release', { name: 'smaller' })
      return
    }
    expect((await shrink()).allocation.bytes).toBe(2 * pageBytes)
    expect(await broker.freeBytes()).toBe(free - 2 * pageBytes)
    client.closeFd(fds[0]!)
    expect((await client.call('Grow', { name: 'smaller', bytes: 4 * pageBytes })).allocation.bytes).toBe(
      4 * pageBytes,
    )
    const again = await client.call('CreateMapping', { name: 'smaller' })
    const wanted = Buffer.alloc(4 * pageBytes).fill(0xaa, 0, 2 * pageBytes)
    expect(view(again.fds[0]!, 0, 4 * pageBytes).equals(wanted)).toBe(true)
    for (const window of windows.splice(0)) window.revoke()
    client.closeFd(again.fds[0]!)
    await expect(client.call('Release', { name: 'smaller' })).resolves.toMatchObject({ outcome: 'released' })
    expect(await broker.freeBytes()).toBe(free)
  })
})
