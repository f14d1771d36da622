/** Proves that regions and their devices are found in sysfs as every kernel lays it out, and read as they are. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { RangeSettings } from '../../src/broker/config/settings'
import { SourceError } from '../../src/broker/failure'
import { findRegions, listInstances, readInstance } from '../../src/broker/source/devdax/region'
import { findOwnRegion } from '../../src/broker/source/devdax/takeover'

const MiB = 2 ** 20
let sysfs: string
beforeEach(() => {
  sysfs = mkdtempSync(path.join(tmpdir(), 'membroker-sysfs-'))
})
afterEach(() => rmSync(sysfs, { recursive: true }))

function put(file: string, value: string | number): void {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, `${value}\n`)
}

interface Device {
  name: string
  bytes: number
  resource: number
  driver?: string
  mappings?: [start: number, end: number, pageOffset: number][]
  targetNode?: number
  numaNode?: number
}

/** The parts of a region that kernels 6.1, 6.12 and 7.2 all have, as they print them. */
function region(parent: string, id: number, bytes: number, devices: Device[]): string {
  const directory = path.join(sysfs, parent)
  put(path.join(directory, 'dax_region/id'), id)
  put(path.join(directory, 'dax_region/size'), bytes)
  put(path.join(directory, 'dax_region/align'), 2 * MiB)
  mkdirSync(path.join(sysfs, 'bus/dax/devices'), { recursive: true })
  for (const device of devices) {
    const folder = path.join(directory, device.name)
    put(path.join(folder, 'size'), device.bytes)
    put(path.join(folder, 'align'), 2 * MiB)
    put(path.join(folder, 'resource'), `0x${device.resource.toString(16)}`)
    put(path.join(folder, 'target_node'), device.targetNode ?? 0)
    put(path.join(folder, 'numa_node'), device.numaNode ?? 0)
    for (const [index, [start, end, pageOffset]] of (device.mappings ?? []).entries()) {
      put(path.join(folder, `mapping${index}/start`), `0x${start.toString(16)}`)
      put(path.join(folder, `mapping${index}/end`), `0x${end.toString(16)}`)
      put(path.join(folder, `mapping${index}/page_offset`), `0x${pageOffset.toString(16)}`)
    }
    if (device.driver) {
      mkdirSync(path.join(sysfs, 'bus/dax/drivers', device.driver), { recursive: true })
      symlinkSync(path.join(sysfs, 'bus/dax/drivers', device.driver), path.join(folder, 'driver'))
    }
    symlinkSync(folder, path.join(sysfs, 'bus/dax/devices', device.name))
  }
  return directory
}

const settings = (change: Partial<RangeSettings> = {}): RangeSettings => ({
  name: 'r',
  source: 'devdax',
  bytes: 512 * MiB,
  alignBytes: undefined,
  tableBytes: undefined,
  base: 0x40000000,
  ...change,
})

describe.each(['devices/platform/hmem.0', 'devices/platform/hmem_platform.0/hmem.0'])('under %s', parent => {
  test('an idle region has its start from the device that can not be deleted', () => {
    const directory = region(parent, 0, 512 * MiB, [{ name: 'dax0.0', bytes: 0, resource: 0x40000000 }])
    expect(findRegions(sysfs)).toEqual([
      { directory, id: 0, start: 0x40000000, bytes: 512 * MiB, alignBytes: 2 * MiB, node: 0 },
    ])
  })

  test('devices show their extents in the order of their offsets, not of their names', () => {
    const directory = region(parent, 0, 512 * MiB, [
      { name: 'dax0.0', bytes: 0, resource: 0x40000000 },
      {
        name: 'dax0.1',
        bytes: 6 * MiB,
        resource: 0x48000000,
        driver: 'device_dax',
        mappings: [
          [0x48000000, 0x483fffff, 0x200],
          [0x40000000, 0x401fffff, 0],
        ],
      },
    ])
    expect(listInstances(directory).map(({ name }) => name)).toEqual(['dax0.0', 'dax0.1'])
    expect(readInstance(directory, 'dax0.1')).toEqual({
      name: 'dax0.1',
      bytes: 6 * MiB,
      driver: 'device_dax',
      alignBytes: 2 * MiB,
      extents: [
        { start: 0x40000000, end: 0x40200000 },
        { start: 0x48000000, end: 0x48400000 },
      ],
    })
    expect(readInstance(directory, 'dax0.2')).toBeUndefined()
  })
})

test('two regions are told apart, and a device that has all of its region tells its start', () => {
  region('devices/platform/hmem.0', 0, 64 * MiB, [{ name: 'dax0.0', bytes: 0, resource: 0x40000000 }])
  region('devices/platform/hmem.1', 1, 128 * MiB, [
    { name: 'dax1.0', bytes: 128 * MiB, resource: 0x80000000, targetNode: 3 },
  ])
  expect(findRegions(sysfs).map(({ id, start, node }) => [id, start, node])).toEqual([
    [0, 0x40000000, 0],
    [1, 0x80000000, 3],
  ])
})

test('the node is that of the memory, else the nearest, else unknown', () => {
  const nodes = [
    { targetNode: 2, numaNode: 0 },
    { targetNode: -1, numaNode: 1 },
    { targetNode: -1, numaNode: -1 },
  ]
  for (const [id, node] of nodes.entries())
    region(`devices/platform/hmem.${id}`, id, 64 * MiB, [
      { name: `dax${id}.0`, bytes: 0, resource: 0x40000000 * (id + 1), ...node },
    ])
  expect(findRegions(sysfs).map(({ node }) => node)).toEqual([2, 1, undefined])
})

test('a node that the kernel does not show is unknown, and keeps nobody from the region', () => {
  const directory = region('devices/platform/hmem.0', 0, 64 * MiB, [
    { name: 'dax0.0', bytes: 0, resource: 0x40000000, targetNode: 2, numaNode: 1 },
  ])
  for (const [attribute, node] of [
    ['target_node', 1],
    ['numa_node', undefined],
  ] as const) {
    rmSync(path.join(directory, 'dax0.0', attribute))
    expect(findRegions(sysfs)).toMatchObject([{ start: 0x40000000, node }])
  }
})

test('the region of the configuration is found by its address, and everything that does not fit is said', () => {
  const refusal = (change: Partial<RangeSettings>) => {
    try {
      return findOwnRegion(settings(change), sysfs)
    } catch (error) {
      expect(error).toBeInstanceOf(SourceError)
      return (error as Error).message
    }
  }
  expect(refusal({})).toMatch(/no soft-reserved memory is offered.*dax_hmem/)
  region('devices/platform/hmem.0', 0, 512 * MiB, [{ name: 'dax0.0', bytes: 0, resource: 0x40000000 }])
  region('devices/platform/hmem.1', 1, 64 * MiB, [{ name: 'dax1.0', bytes: 2 * MiB, resource: 0x80000000 }])
  expect(refusal({})).toMatchObject({ start: 0x40000000, bytes: 512 * MiB })
  expect(refusal({ base: 0x48000000 })).toBe(
    'no device-DAX region begins at 0x48000000; there are: 0x40000000 (512 MiB), region 1 (its first device is in use)',
  )
  expect(refusal({ bytes: 256 * MiB })).toMatch(/has 536870912 bytes .* configuration says 268435456/)
  expect(refusal({ alignBytes: 4096 })).toMatch(/align \(0x1000\) is no multiple of 2 MiB/)
  expect(refusal({ alignBytes: 2 ** 30 })).toMatch(/size .* is no multiple of 1 GiB/)
})

test('an attribute that holds no number is not taken for one', () => {
  const directory = region('devices/platform/hmem.0', 0, 64 * MiB, [
    { name: 'dax0.0', bytes: 0, resource: 0x40000000 },
  ])
  writeFileSync(path.join(directory, 'dax_region/size'), '\n')
  expect(() => findRegions(sysfs)).toThrow(/holds no number/)
})
