/** Proves what exec fills in, and that it leaves every other text of a command alone. */
import { fillIn, mapAlignment } from '../../src/client/ctl/placeholder'

const maps = [
  { fd: 9, path: '/proc/self/fd/9', size: 2 ** 32, align: 2 ** 30 },
  { fd: 10, path: '/run/cache', size: 4096, align: 2 ** 21 },
]

test.each([
  ['size={map.size},mem-path={map.path}', 'size=4294967296,mem-path=/proc/self/fd/9'],
  ['-e {map2.path} -m {map.mib} {map2.mib}', '-e /run/cache -m 4096 0'],
  ['align={map1.align},fd={map2.fd}', 'align=1073741824,fd=10'],
  ['{"mem-path":"{map.path}","align":{map.align}}', '{"mem-path":"/proc/self/fd/9","align":1073741824}'],
  [
    'exec {fd}<x; echo {map} {map.} {map.name} ${map.fd',
    'exec {fd}<x; echo {map} {map.} {map.name} ${map.fd',
  ],
])('%s becomes %s', (argument, filled) => {
  expect(fillIn([argument], maps)).toEqual([filled])
})

test('a --map that is not there is an error, also number 0', () => {
  for (const text of ['{map3.fd}', '{map0.size}'])
    expect(() => fillIn([text], maps)).toThrow(`${text}: there is no`)
})

test.each([
  [4096, 2 ** 21],
  [2 ** 21, 2 ** 21],
  [2 ** 30, 2 ** 30],
  [3 * 2 ** 20, 2 ** 21],
])('of a range with units of %i programs align to %i', (unit, align) => {
  expect(mapAlignment(unit)).toBe(align)
})
