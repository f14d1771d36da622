/**
 * Proves that a memfd range that is to be preserved over kexec works and tells the truth where the kernel can't do it, that
 * its sessions keep their names apart, and that it sees beforehand what memory there is. Real kernels preserve in the lab.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseConfig } from '../../src/broker/config/config'
import { type Item, rangeOfStoreName, storeName } from '../../src/broker/service/inherited'
import { chargeableBytes, pinnableBytes } from '../../src/broker/source/memfd/host-memory'
import { liveUpdateDevice, sessionName } from '../../src/broker/source/memfd/live-sessions'
import { TestBroker } from '../support/test-broker'

const range = (keys = '') => `[[range]]\nname = "kept"\nsource = "memfd"\nbytes = "64MiB"\n${keys}\n`

test('huge pages of hugetlbfs are refused: the kernel preserves none', () => {
  expect(parseConfig(range('preserve = "always"'), 'broker.toml').ranges[0]).toMatchObject({
    preserve: 'always',
  })
  expect(() => parseConfig(range('preserve = "always"\nhuge_page = "2MiB"'), 'broker.toml')).toThrow(
    /^broker.toml:5: the kernel preserves no huge pages/,
  )
  expect(() => parseConfig(range('preserve = "sometimes"'), 'broker.toml')).toThrow(/^broker.toml:5/)
})

test('every item has a name of its own in the fd store, and comes back by it', () => {
  const parts = ['table' as const, 1, 35, 36, 49_672_850, Number.MAX_SAFE_INTEGER]
  const items = parts.flatMap((part): Item[] => [part, `preserving ${part}`, `retrieved ${part}`])
  const names = items.map(item => storeName('a.b-c', item))
  expect(new Set(names).size).toBe(items.length)
  expect(names.map(name => rangeOfStoreName(name))).toEqual(items.map(item => ({ range: 'a.b-c', item })))
  expect(rangeOfStoreName('=01.kept')).toBeUndefined()
})

test('a session has a name that the kernel takes, also for the longest name of a range', () => {
  const long = 'r'.repeat(63)
  const parts = ['table' as const, 1, Number.MAX_SAFE_INTEGER]
  const names = [...parts.map(part => sessionName(long, part)), ...parts.map(part => sessionName('r', part))]
  expect(new Set(names).size).toBe(names.length)
  expect(Math.max(...names.map(name => name.length))).toBeLessThanOrEqual(63)
  expect(sessionName(`${long}x`, 1)).not.toBe(sessionName(long, 1))
})

test('memory where the next kernel starts does not count as memory that can be preserved', () => {
  expect(pinnableBytes('MemAvailable:    1000 kB\nCmaFree:          400 kB\n')).toBe(600 * 1024)
  expect(pinnableBytes('MemAvailable:    1000 kB\n')).toBe(1000 * 1024)
  expect(pinnableBytes('MemAvailable:     100 kB\nCmaFree:          400 kB\n')).toBe(0)
})

test('of all memory cgroups around the broker, the fullest one counts', () => {
  const root = mkdtempSync(path.join(tmpdir(), 'membroker-cgroup-'))
  try {
    const group = (name: string, max: string, current: number) => {
      mkdirSync(path.join(root, name), { recursive: true })
      writeFileSync(path.join(root, name, 'memory.max'), `${max}\n`)
      writeFileSync(path.join(root, name, 'memory.current'), `${current}\n`)
    }
    group('a', '1000', 900)
    group('a/b', 'max', 800)
    expect(chargeableBytes(root, '/a/b')).toBe(100)
    group('a/b', '850', 800)
    expect(chargeableBytes(root, '/a/b')).toBe(50)
    expect(chargeableBytes(root, '/other')).toBe(Number.POSITIVE_INFINITY)
  } finally {
    rmSync(root, { recursive: true })
  }
})

// Where the kernel has the device, the lab's scenario says what happens.
test('without the device a range works, says that a kexec loses it, and the log says why', async () => {
  if (existsSync(liveUpdateDevice)) return
  const broker = await TestBroker.start({ config: range('preserve = "always"') })
  try {
    const client = broker.client()
    await client.call('Allocate', { name: 'a', bytes: 2 ** 20 })
    const { ranges } = await client.call('ListRanges', {})
    expect(ranges).toMatchObject([{ state: 'online', capabilities: { survivesKexec: false } }])
    expect(broker.log).toMatch(/a kexec loses its memory: this kernel has no \/dev\/liveupdate/)
  } finally {
    await broker.dispose()
  }
})
