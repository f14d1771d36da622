/** Proves that the doctor counts only huge pages that a range can get, and that its remedy leaves others theirs. */
import { chmodSync } from 'node:fs'
import path from 'node:path'
import type { RunningBroker } from '../../../src/client/ctl/host/check'
import { hugePages, hugetlbfsRoom } from '../../../src/client/ctl/host/check/huge-pages'
import type { ConfiguredRange, FolderRange } from '../../../src/client/ctl/host/configured-range'
import { nodesOf, parseList } from '../../../src/client/ctl/host/numa-nodes'
import { Tree } from './tree'

const page = 2 ** 21
const name = 'hugepages-2048kB'
const pool = `sys/kernel/mm/hugepages/${name}`
const memfd: ConfiguredRange = {
  name: 'guests',
  source: 'memfd',
  path: '',
  bytes: 32 * page,
  huge_page: page,
  tableBytes: 4096,
}
const directory: FolderRange = {
  ...memfd,
  source: 'directory',
  path: '/dev/hugepages/x',
  bytes: 31 * page,
}

let tree: Tree
beforeEach(() => {
  tree = new Tree()
  tree.put('proc/self/mounts', 'none /dev/hugepages hugetlbfs rw,pagesize=2M 0 0')
})
afterEach(() => tree.remove())

function counts(total: number, free: number, { promised = 0, overcommit = 0, surplus = 0 } = {}): void {
  tree.put(`${pool}/nr_hugepages`, String(total))
  tree.put(`${pool}/free_hugepages`, String(free))
  tree.put(`${pool}/resv_hugepages`, String(promised))
  tree.put(`${pool}/nr_overcommit_hugepages`, String(overcommit))
  tree.put(`${pool}/surplus_hugepages`, String(surplus))
}

const broker = (used: number, nodes?: number[]): RunningBroker => ({
  usedBytes: new Map([['guests', used * page]]),
  nodes,
})
const check = (range: ConfiguredRange, running?: RunningBroker) =>
  tree.diagnose([range], { range: [hugePages] }, running)[0]!

test.each([
  ['all free', () => counts(32, 32), 'good', undefined],
  ['most in use by others', () => counts(64, 4), 'bad', `echo 92 >/${pool}/nr_hugepages`],
  [
    'most promised to others',
    () => counts(64, 64, { promised: 60 }),
    'bad',
    `echo 92 >/${pool}/nr_hugepages`,
  ],
  ['by overcommit', () => counts(0, 0, { overcommit: 64 }), 'warning', `echo 32 >/${pool}/nr_hugepages`],
  [
    'an overcommit that is used up',
    () => counts(40, 0, { overcommit: 64, surplus: 40 }),
    'bad',
    `echo 72 >/${pool}/nr_hugepages`,
  ],
])('a pool with %s', (_what, set, result, repair) => {
  // Proves that only available pages count, and that the repair makes room beside the pages of others.
  set()
  expect(check(memfd)).toMatchObject({ result, ...(repair === undefined ? {} : { repair }) })
})

test('what a memfd range holds already counts as its own', () => {
  // Proves that a running range which has all of its pages is not told that the pool is empty.
  counts(32, 0)
  expect(check(memfd).result).toBe('bad')
  expect(check(memfd, broker(32)).result).toBe('good')
})

test('what the files of a range hold counts as its own, also without a broker', () => {
  // Proves that it is counted by what the files take, and that those who can't see that are told so.
  counts(32, 30)
  tree.folder('dev/hugepages/x')
  expect(check(directory)).toMatchObject({ result: 'bad', repair: `echo 34 >/${pool}/nr_hugepages` })
  tree.put('dev/hugepages/x/alloc-1', Buffer.alloc(2 * page, 1))
  expect(check(directory).result).toBe('good')
  if (process.getuid!() === 0) return
  chmodSync(path.join(tree.root, 'dev/hugepages/x'), 0)
  expect(check(directory).result).toBe('notApplicable')
  expect(check(directory, broker(2)).result).toBe('good')
  chmodSync(path.join(tree.root, 'dev/hugepages/x'), 0o700)
})

test("what a mount has been promised by min_size= is its files' own", () => {
  counts(32, 32, { promised: 32 })
  expect(check(directory).result).toBe('bad')
  tree.put('proc/self/mounts', `none /dev/hugepages hugetlbfs rw,pagesize=2M,min_size=${32 * page} 0 0`)
  expect(check(directory).result).toBe('good')
})

test("a broker that is bound to a node gets that node's pages only", () => {
  // Proves that pages of another node do not count, and that the repair is for the right one.
  counts(64, 64)
  for (const [node, pages] of [
    [0, 60],
    [1, 4],
  ] as const) {
    tree.put(`sys/devices/system/node/node${node}/hugepages/${name}/nr_hugepages`, String(pages))
    tree.put(`sys/devices/system/node/node${node}/hugepages/${name}/free_hugepages`, String(pages))
  }
  expect(check(memfd, broker(0)).result).toBe('good')
  expect(check(memfd, broker(0, [0])).result).toBe('good')
  expect(check(memfd, broker(0, [1]))).toMatchObject({
    result: 'bad',
    finding: expect.stringMatching(/on node 1, to which the broker is bound, has 4 huge pages/),
    repair: `echo 32 >/sys/devices/system/node/node1/hugepages/${name}/nr_hugepages`,
  })
})

test('to which nodes a process is bound is read from its policy and its control group', () => {
  tree.put('sys/devices/system/node/has_memory', '0-2')
  const bound = (policy: string, allowed: string) => {
    tree.put('proc/7/numa_maps', `5589 ${policy} file=/usr/bin/node mapped=1`)
    tree.put('proc/7/status', `Mems_allowed:\t7\nMems_allowed_list:\t${allowed}`)
    return nodesOf(tree.files, 7)
  }
  expect(bound('default', '0-63')).toBeUndefined()
  expect(bound('prefer:1', '0-2')).toBeUndefined()
  expect(bound('bind:1', '0-2')).toEqual([1])
  expect(bound('bind=static:1-2', '0,2')).toEqual([2])
  expect(nodesOf(tree.files, 8)).toBeUndefined()
  expect(parseList('0,2-4,7\n')).toEqual([0, 2, 3, 4, 7])
})

test('pages of 1 GiB are best had at boot', () => {
  counts(0, 0)
  tree.put('sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages', '0')
  const gigabytes = { ...memfd, bytes: 2 ** 31, huge_page: 2 ** 30 }
  expect(check(gigabytes)).toMatchObject({
    result: 'bad',
    repair: expect.stringMatching(/hugepagesz=1G hugepages=2/),
  })
})

test('a hugetlbfs that is limited to less than the range is found', () => {
  // Proves that a pool of the right size is not all that is looked at.
  const mount = (options: string) => ({
    folder: '/dev/hugepages',
    device: 'none',
    type: 'hugetlbfs',
    options: options.split(','),
  })
  expect(hugetlbfsRoom(directory, mount('rw,pagesize=2M')).result).toBe('good')
  expect(hugetlbfsRoom(directory, mount(`rw,pagesize=2M,size=${32 * page}`)).result).toBe('good')
  expect(hugetlbfsRoom(directory, mount(`rw,pagesize=2M,size=${16 * page}`))).toMatchObject({
    result: 'bad',
    finding: expect.stringMatching(/limited to 32 MiB/),
    repair: expect.stringMatching(
      /umount \/dev\/hugepages && mount -t hugetlbfs -o pagesize=2M none \/dev\/hugepages/,
    ),
  })
})
