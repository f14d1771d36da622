/** Proves that a configuration says all that a range of physical memory needs, and nothing that it does not have. */
import { parseConfig } from '../../src/broker/config/config'

const parse = (keys: string) =>
  parseConfig(`[[range]]\nname = "r"\nbytes = "64MiB"\n${keys}\n`, 'broker.toml')
const refusal = (keys: string) => {
  try {
    parse(keys)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

test('addresses are numbers, or hexadecimal text', () => {
  expect(parse('source = "devdax"\nbase = "0x4000000000"').ranges[0]).toMatchObject({ base: 0x4000000000 })
  expect(parse('source = "devdax"\nbase = 1073741824').ranges[0]).toMatchObject({ base: 2 ** 30 })
  for (const base of ['"0x"', '"4000"', '"-0x40"', '-1', '1.5', '"0x40000000000000"', 'true'])
    expect(refusal(`source = "devdax"\nbase = ${base}`)).toMatch(/^broker.toml:5: range.base/)
})

test('each source has its own keys', () => {
  expect(
    parse('source = "devmem"\nbase = "0x60000000"\ntrusted_uids = [0, 64055]').ranges[0]!.trusted_uids,
  ).toEqual([0, 64055])
  expect(parse('source = "devmem"\nbase = "0x60000000"').ranges[0]!.trusted_uids).toBeUndefined()
  expect(
    parse('source = "pci-bar"\npath = "/sys/bus/pci/devices/0000:00:05.0/resource0"\ntable_path = "/run/t"')
      .ranges[0],
  ).toMatchObject({ path: '/sys/bus/pci/devices/0000:00:05.0/resource0', table_path: '/run/t' })
})

test.each([
  ['source = "devdax"', "broker.toml:1: a devdax range needs 'base'"],
  ['source = "devmem"', "broker.toml:1: a devmem range needs 'base'"],
  ['source = "pci-bar"\npath = "/sys/x/resource0"', "broker.toml:1: a pci-bar range needs 'table_path'"],
  [
    'source = "devdax"\nbase = 0\npath = "/x"',
    'broker.toml:6: a devdax range has no path: it is for directory and pci-bar',
  ],
  [
    'source = "devdax"\nbase = 0\ntrusted_uids = [0]',
    'broker.toml:6: a devdax range has no trusted_uids: it is for devmem',
  ],
  [
    'source = "devmem"\nbase = 0\npreallocate = true',
    'broker.toml:6: a devmem range has no preallocate: it is for directory and memfd',
  ],
  [
    'source = "devmem"\nbase = 0\nhuge_page = "2MiB"',
    'broker.toml:6: a devmem range has no huge_page: it is for memfd',
  ],
  ['source = "memfd"\nbase = 0', 'broker.toml:5: a memfd range has no base: it is for devdax and devmem'],
  [
    'source = "directory"\npath = "/x"\ntable_path = "/y"',
    'broker.toml:6: a directory range has no table_path: it is for pci-bar',
  ],
])('%s is refused with its line', (keys, expected) => {
  expect(refusal(keys)).toBe(expected)
})

test('two ranges with the same memory are refused, neighbours are not', () => {
  const second = (source: string, base: string) =>
    refusal(`source = "devdax"\nbase = "0x40000000"\n[[range]]\nname = "s"\nbytes = 4096000000\n
source = "${source}"\nbase = "${base}"`)
  expect(second('devmem', '0x43fff000')).toBe("broker.toml:11: it overlaps range 'r'")
  expect(second('devdax', '0x10000000')).toBe("broker.toml:11: it overlaps range 'r'")
  expect(second('devmem', '0x44000000')).toBeUndefined()
})
