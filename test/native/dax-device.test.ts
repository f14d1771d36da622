/**
 * Proves that a device is bound only after everything that it was to have was read back, and that each step that fails is
 * named. On a tree of plain files like sysfs; what kernels do with it is proved in the lab.
 */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { native, SystemError } from '../../native'
import { needsRoot } from '../support/needs-root'

const MiB = 2 ** 20
const alignBytes = 2 * MiB
const extents = [
  { start: 0x4000_0000, end: 0x4020_0000 },
  { start: 0x4800_0000, end: 0x4880_0000 },
]
const name = 'dax0.1'
let root: string
const at = (...parts: string[]) => path.join(root, ...parts)

function put(file: string, text: string): void {
  mkdirSync(path.dirname(at(file)), { recursive: true })
  writeFileSync(at(file), text)
}

/** As the kernel would answer if all goes well. */
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'membroker-dax-'))
  put('region/dax_region/seed', `${name}\n`)
  put('region/dax_region/create', '')
  put(`region/${name}/align`, `${alignBytes}\n`)
  put(`region/${name}/size`, `${10 * MiB}\n`)
  put(`region/${name}/mapping`, '')
  put(`region/${name}/mapping0/start`, '0x40000000\n')
  put(`region/${name}/mapping0/end`, '0x401fffff\n')
  put(`region/${name}/mapping0/page_offset`, '0\n')
  put(`region/${name}/mapping1/start`, '0x48000000\n')
  put(`region/${name}/mapping1/end`, '0x487fffff\n')
  put(`region/${name}/mapping1/page_offset`, '0x200\n')
  put(`region/${name}/uevent`, 'MAJOR=252\nMINOR=300\nDEVNAME=dax0.1\nDRIVER=device_dax\n')
  put('bus/drivers/device_dax/new_id', '')
  put(`dev/${name}`, '')
  chmodSync(at('dev', name), 0o600)
})
afterEach(() => rmSync(root, { recursive: true }))

const make = (align = alignBytes) =>
  native.makeDaxDevice(at('region'), at('bus/drivers/device_dax'), at('dev'), extents, align)
const codeOf = (errno: number) => new SystemError('make', errno).code
const boundTo = () => readFileSync(at('bus/drivers/device_dax/new_id'), 'latin1')

;(needsRoot('nodes that are root’s') ? describe : describe.skip)('with the rights for it', () => {
  test('what is read back as it was asked for is bound, and its node is closed to others', () => {
    chmodSync(at('dev', name), 0o666)
    expect(make()).toEqual({ errno: 0, doing: '', name, device: 252 * 256 + 44 + 2 ** 20 })
    expect(boundTo()).toBe(name)
    // Each extent is one write; a plain file keeps the last.
    expect(readFileSync(at('region', name, 'mapping'), 'latin1')).toBe('48000000-487fffff')
    expect(readFileSync(at('region/dax_region/create'), 'latin1')).toBe('')
    expect(statSync(at('dev', name)).mode & 0o777).toBe(0o600)
  })

  test('another alignment is asked for, and read back', () => {
    expect(make(2 ** 30)).toMatchObject({ errno: 0 })
    expect(readFileSync(at('region', name, 'align'), 'latin1')).toBe(String(2 ** 30))
  })
})

test('nothing that differs is bound', () => {
  const good = new Map<string, string>()
  for (const [attribute, value] of [
    ['size', 12 * MiB],
    ['mapping0/start', '0x40200000'],
    ['mapping0/end', '0x403fffff'],
    ['mapping1/start', 0x4000_0000],
    ['mapping1/end', '0x48ffffff'],
    ['mapping1/page_offset', '0x400'],
    ['size', 'much'],
    ['size', ''],
  ] as const) {
    const file = `region/${name}/${attribute}`
    if (!good.has(file)) good.set(file, readFileSync(at(file), 'latin1'))
    put(file, `${value}\n`)
    const made = make()
    expect([attribute, codeOf(made.errno), made.name]).toEqual([attribute, 'EPROTO', name])
    expect(made.doing).toContain(at(file))
    expect(boundTo()).toBe('')
    put(file, good.get(file)!)
  }
})

test('a step that fails is named, with its errno', () => {
  rmSync(at('region', name, 'mapping1/end'))
  expect(make()).toMatchObject({
    errno: -2,
    doing: `reading ${at('region', name)}/mapping1/end`,
    name,
  })
  rmSync(at('region', name, 'mapping'))
  expect(make()).toMatchObject({
    errno: -2,
    doing: `writing '40000000-401fffff' to ${at('region', name)}/mapping`,
  })
  expect(boundTo()).toBe('')
  rmSync(at('region', name), { recursive: true })
  expect(make()).toMatchObject({ errno: -2, doing: `reading ${at('region', name)}/align` })
})

test('a device that the driver did not take is told', () => {
  put(`region/${name}/uevent`, 'MAJOR=252\nMINOR=1\nDEVNAME=dax0.1\nXDRIVER=device_dax\n')
  const made = make()
  expect([codeOf(made.errno), made.doing]).toEqual(['ENODEV', `binding ${name} to device_dax`])
})

test('without a device that was never bound one is asked for, and none may come', () => {
  put('region/dax_region/seed', '\n')
  const made = make()
  expect([codeOf(made.errno), made.name]).toEqual(['ENODEV', ''])
  expect(readFileSync(at('region/dax_region/create'), 'latin1')).toBe('1')
})

test('extents that are none are refused before anything is done', () => {
  for (const wrong of [[{ start: 4096, end: 4096 }], [{ start: -1, end: 4096 }], [{ start: 0 }], [0], {}])
    expect(() =>
      native.makeDaxDevice(at('region'), at('bus'), at('dev'), wrong as typeof extents, alignBytes),
    ).toThrow(/must be an array of/)
})

test('a device with memory and without a driver is found on the whole bus', () => {
  put('bus/devices/dax0.0/size', '0\n')
  put('bus/devices/dax0.1/size', '2097152\n')
  put('bus/devices/dax1.0/size', '4096\n')
  put('bus/drivers/device_dax/dax0.1/uevent', '')
  put('bus/drivers/kmem/dax1.0/uevent', '')
  expect(native.findUnboundDax(at('bus'))).toBeUndefined()
  rmSync(at('bus/drivers/kmem/dax1.0'), { recursive: true })
  expect(native.findUnboundDax(at('bus'))).toBe('dax1.0')
  put('bus/devices/dax1.0/size', '0\n')
  expect(native.findUnboundDax(at('bus'))).toBeUndefined()
  put('bus/devices/dax1.0/size', 'much\n')
  expect(() => native.findUnboundDax(at('bus'))).toThrow(/EPROTO/)
  expect(() => native.findUnboundDax(at('nowhere'))).toThrow(/ENOENT/)
})
