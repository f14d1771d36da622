/** Proves who counts as having the kernel work on its memory while it is stopped, from what /proc says of a process. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pinningOf } from '../../src/broker/source/devdax/pinning'

let proc: string
beforeEach(() => {
  proc = mkdtempSync(path.join(tmpdir(), 'membroker-proc-'))
})
afterEach(() => rmSync(proc, { recursive: true }))

function processWith(pid: number, more: { state?: string; fds?: string[]; maps?: string } = {}): void {
  const own = path.join(proc, String(pid))
  mkdirSync(path.join(own, 'fd'), { recursive: true })
  writeFileSync(path.join(own, 'status'), `Name:\tvmm\nState:\t${more.state ?? 'T (stopped)'}\n`)
  writeFileSync(path.join(own, 'maps'), more.maps ?? '')
  for (const [fd, target] of (more.fds ?? []).entries()) symlinkSync(target, path.join(own, 'fd', String(fd)))
}

test('a plain process, one that is gone and one that has ended do not', () => {
  processWith(1, { fds: ['/dev/null', 'anon_inode:[eventpoll]', '/dev/dax0.1', 'anon_inode:kvm-vm'] })
  expect(pinningOf(1, proc)).toBeUndefined()
  expect(pinningOf(2, proc)).toBeUndefined()
  processWith(3, { state: 'Z (zombie)', fds: ['anon_inode:[io_uring]'] })
  expect(pinningOf(3, proc)).toBeUndefined()
})

test.each([
  '/dev/vfio/12',
  '/dev/vfio/vfio',
  'anon_inode:[vfio-device]',
  '/dev/iommu',
  '/dev/infiniband/uverbs0',
  '/dev/vhost-net',
])('%s does', target => {
  processWith(1, { fds: ['/dev/null', target] })
  expect(pinningOf(1, proc)).toContain(target)
})

test('rings for asynchronous I/O do', () => {
  processWith(1, { fds: ['anon_inode:[io_uring]'] })
  expect(pinningOf(1, proc)).toBe('it uses io_uring')
  processWith(2, { maps: '7f0000000000-7f0000001000 rw-s 00000000 00:0e 1  /[aio] (deleted)\n' })
  expect(pinningOf(2, proc)).toBe('it uses libaio')
})

test('what can not be looked into may', () => {
  processWith(1)
  rmSync(path.join(proc, '1/maps'))
  mkdirSync(path.join(proc, '1/maps'))
  expect(pinningOf(1, proc)).toMatch(/can't be looked into/)
})
