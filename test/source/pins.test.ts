/** Proves which processes count as possibly having pages pinned, from what /proc says of them. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pinningOf, pinsAccounted, pinsOutstanding } from '../../src/broker/source/pins'

let proc: string
beforeEach(() => {
  proc = mkdtempSync(path.join(tmpdir(), 'membroker-proc-'))
})
afterEach(() => rmSync(proc, { recursive: true }))

function put(file: string, text: string): void {
  mkdirSync(path.dirname(path.join(proc, file)), { recursive: true })
  writeFileSync(path.join(proc, file), text)
}

function processWith(pid: number, more: { status?: string; fds?: string[]; maps?: string } = {}): void {
  put(
    `${pid}/status`,
    `Name:\tvmm\nState:\tS (sleeping)\n${more.status ?? 'VmLck:\t       0 kB\nVmPin:\t       0 kB'}\n`,
  )
  put(`${pid}/maps`, more.maps ?? '')
  mkdirSync(path.join(proc, `${pid}/fd`))
  for (const [fd, target] of (more.fds ?? []).entries())
    symlinkSync(target, path.join(proc, `${pid}/fd/${fd}`))
}

test('a plain process, one that is gone and one that has ended pin nothing', () => {
  processWith(1, { fds: ['/dev/null', 'anon_inode:[eventpoll]', '/dev/dax0.1', 'anon_inode:kvm-vm'] })
  expect(pinningOf(1, true, proc)).toBeUndefined()
  expect(pinningOf(2, true, proc)).toBeUndefined()
  put('3/status', 'State:\tZ (zombie)\n')
  expect(pinningOf(3, true, proc)).toBeUndefined()
})

test.each([
  '/dev/vfio/12',
  '/dev/vfio/devices/vfio0',
  'anon_inode:[vfio-device]',
  '/dev/iommu',
  '/dev/infiniband/uverbs0',
  '/dev/sev',
])('whoever has %s open may, whether it holds the memory or held it', target => {
  processWith(1, { fds: ['/dev/null', target] })
  expect(pinningOf(1, true, proc)).toContain(target)
  expect(pinningOf(1, false, proc)).toContain(target)
})

test('a ring counts while its process can still register the memory, and its buffers always', () => {
  processWith(1, { fds: ['anon_inode:[io_uring]'] })
  const ring = (text: string) => put('1/fdinfo/0', `SqMask:\t0x3\n${text}PollList:\n`)
  ring('UserFiles:\t0\nUserBufs:\t0\n')
  expect(pinningOf(1, true, proc)).toBe('it uses io_uring')
  expect(pinningOf(1, false, proc)).toBeUndefined()
  ring('UserBufs:\t2\n    0: 0x7f5d4d800000/2097152\n    1: 0x7f5d4da00000/4096\n')
  expect(pinningOf(1, false, proc)).toBe('it has buffers registered with io_uring')
  expect(pinsAccounted(proc)).toBe(513)
  // Busy: the kernel leaves them out.
  ring('UserBufs:\t2\n')
  expect(pinningOf(1, false, proc)).toBe('it has buffers registered with io_uring')
  ring('')
  expect(pinningOf(1, false, proc)).toBe('it has buffers registered with io_uring')
  processWith(2, { maps: '7f0-7f1 rw-s 00000000 00:10 99 /[aio] (deleted)\n' })
  expect(pinningOf(2, true, proc)).toBe('it uses libaio')
})

test('what the kernel accounts counts always, those of a hidden ring too', () => {
  processWith(1, { status: 'VmLck:\t       0 kB\nVmPin:\t    2048 kB' })
  expect(pinningOf(1, false, proc)).toBe('it has 2048 KiB pinned or locked')
  processWith(2, { status: 'VmLck:\t      64 kB\nVmPin:\t       0 kB' })
  expect(pinningOf(2, false, proc)).toBe('it has 64 KiB pinned or locked')
  expect(pinsAccounted(proc)).toBe((2048 + 64) / 4)
})

test('a process that can not be looked into counts', () => {
  put('1/status', 'State:\tS\nVmPin:\t0 kB\n')
  writeFileSync(path.join(proc, '1/fd'), 'not a directory')
  expect(pinningOf(1, false, proc)).toMatch(/can't be looked into/)
})

test('pins of the whole host are the difference of two counters, or not known', () => {
  expect(pinsOutstanding(proc)).toBeUndefined()
  put('sys/vm/stat_refresh', '')
  put('vmstat', 'nr_free_pages 5\nnr_foll_pin_acquired 5120\nnr_foll_pin_released 5118\npgpgin 7\n')
  expect(pinsOutstanding(proc)).toBe(2)
  put('vmstat', 'nr_free_pages 5\n')
  expect(pinsOutstanding(proc)).toBeUndefined()
})
