/**
 * Proves that the doctor finds a limit of the broker's cgroups that is too small for what a kernel gives back after a kexec, and
 * none where there is room.
 */
import { memoryLimit } from '../../../src/client/ctl/host/check/memory-limit'
import { Tree } from './tree'

const GiB = 2 ** 30
const pid = 42
let tree: Tree
beforeEach(() => {
  tree = new Tree()
})
afterEach(() => tree.remove())

const kept = (bytes: number, used: number) => ({ name: 'kept', bytes, freeBytes: bytes - used })

test.each<[string, Record<string, string>, number, number, string, RegExp]>([
  ['no limit', { 'system.slice': 'max' }, GiB, GiB, 'good', /no cgroup limits/],
  [
    'room for all',
    { 'system.slice/membroker.service': String(2 * GiB) },
    GiB,
    GiB,
    'good',
    /all of kept has 1 GiB/,
  ],
  [
    'no room for what is there',
    { 'system.slice/membroker.service': String(GiB) },
    4 * GiB,
    2 * GiB,
    'bad',
    /^\/system.slice\/membroker.service limits .* 1 GiB .* 2 GiB of kept stay in the kernel/,
  ],
  [
    'no room for what may come',
    { 'system.slice/membroker.service': String(GiB) },
    GiB,
    0,
    'warning',
    /when kept is in use/,
  ],
  [
    'a slice with less than the unit',
    { 'system.slice': String(GiB), 'system.slice/membroker.service': String(8 * GiB) },
    2 * GiB,
    2 * GiB,
    'bad',
    /^\/system.slice limits/,
  ],
])('%s', (_what, limits, bytes, used, result, finding) => {
  tree.put(`proc/${pid}/cgroup`, '1:name=systemd:/x\n0::/system.slice/membroker.service')
  for (const [group, max] of Object.entries(limits)) tree.put(`sys/fs/cgroup/${group}/memory.max`, max)
  expect(memoryLimit(tree.files, pid, [kept(bytes, used)])).toMatchObject({
    result,
    finding: expect.stringMatching(finding),
    ...(result !== 'good' && {
      repair: expect.stringMatching(/^systemctl set-property \S+\.(slice|service) Mem/),
    }),
  })
})

test('a broker in no group of version 2 has no limit that is known', () => {
  expect(memoryLimit(tree.files, pid, [kept(GiB, GiB)]).result).toBe('good')
})
