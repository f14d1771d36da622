/** Proves that `--map` takes every name and option that its help promises, and refuses everything else. */
import { numberDescriptors, parseMapSpec } from '../../src/client/ctl/map-spec'

const plain = {
  fd: undefined,
  path: undefined,
  access: 'readWrite',
  offset: 0,
  length: undefined,
  guestAddress: undefined,
  allocate: undefined,
}

test('a spec is a name and options in any order', () => {
  // Proves the syntax that the help promises.
  expect(parseMapSpec('vm0/ram')).toEqual({ ...plain, name: 'vm0/ram' })
  expect(parseMapSpec('vm0/ram:fd=9,access=read,offset=2M,length=0x1000,guest=4G,allocate=8M')).toEqual({
    name: 'vm0/ram',
    fd: 9,
    access: 'read',
    offset: 2 * 2 ** 20,
    length: 4096,
    guestAddress: 4 * 2 ** 30,
    allocate: 8 * 2 ** 20,
  })
  expect(parseMapSpec('vm0/ram:path=/run/a b')).toEqual({ ...plain, name: 'vm0/ram', path: '/run/a b' })
  expect(parseMapSpec('vm0/ram,access=read')).toEqual({ ...plain, name: 'vm0/ram', access: 'read' })
})

test('names may hold the separators', () => {
  // Proves that an allocation can't become unreachable by its name.
  expect(parseMapSpec('a:b,c=d:fd=4')).toEqual({ ...plain, name: 'a:b,c=d', fd: 4 })
})

test.each([
  ['x:fd=1', /input and output/],
  ['x:fd=-1', /not a descriptor/],
  ['x:fd=abc', /not a descriptor/],
  ['x:fd=3,fd=4', /twice/],
  ['x:path=relative', /absolute/],
  ['x:path=/a/../b', /absolute/],
  ['x:path=/a//b', /absolute/],
  ['x:path=/', /absolute/],
  ['x:path=/a,offset=4K', /without offset/],
  ['x:path=/a,length=4K', /without length/],
  ['x:access=write', /read or readWrite/],
  ['x:offset=1.0001K', /not a size/],
  ['x:fd=3,colour=red', /not understood/],
  [':fd=3', /names no allocation/],
  ['', /names no allocation/],
])('%j is refused in words', (text, message) => {
  // Proves that a typo is told, never ignored.
  expect(() => parseMapSpec(text)).toThrow(message)
})

test('descriptors without a number take the free ones from 3', () => {
  // Proves that explicit numbers are never given away, wherever they stand.
  const specs = ['a', 'b:fd=4', 'c', 'd:fd=3', 'e'].map(parseMapSpec)
  expect(numberDescriptors(specs)).toEqual([5, 4, 6, 3, 7])
  expect(() => numberDescriptors(['a:fd=5', 'b:fd=5'].map(parseMapSpec))).toThrow(/already/)
})
