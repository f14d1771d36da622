import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import path from 'node:path'

/**
 * Who may have pinned pages: told the kernel to keep them for I/O that goes on without the process' page tables. Taking
 * a device away under pinned pages crashes the kernel, when they are let go or at once, so whatever can't be told
 * counts as a pin. What no account of the kernel shows are pages spliced into a pipe (vmsplice): tried on 7.2, the
 * kernel oopses when such a pipe is closed after the device is gone. Nothing here can find them.
 */

/** Descriptors by which a driver pins user memory for as long as it likes. */
const pinners =
  /^(\/dev\/vfio\/|\/dev\/iommu$|\/dev\/infiniband\/|\/dev\/sev$|anon_inode:.*vfio|anon_inode:.*iommu)/
const ioUring = 'anon_inode:[io_uring]'
const pageKiB = 4

/**
 * Why a process may have pages pinned, in one phrase; undefined when it can't or is gone. mayMap: it still has a
 * descriptor or mapping of the memory, so what is not pinned yet can be; ask then while the process is stopped.
 */
export function pinningOf(pid: number, mayMap: boolean, proc = '/proc'): string | undefined {
  const own = path.join(proc, String(pid))
  try {
    const pages = pinnedPages(readFileSync(path.join(own, 'status'), 'latin1'))
    if (pages === undefined) return undefined
    const targets = [...descriptors(own).values()]
    const pinner = targets.find(target => pinners.test(target))
    if (pinner !== undefined) return `it has ${pinner} open`
    if (pages > 0) return `it has ${pages * pageKiB} KiB pinned or locked`
    if (mayMap && targets.includes(ioUring)) return 'it uses io_uring'
    if (registeredPages(own) !== 0) return 'it has buffers registered with io_uring'
    if (!mayMap) return undefined
    // The kernel's older asynchronous I/O shows as a mapping of its ring.
    return readFileSync(path.join(own, 'maps'), 'latin1').includes('[aio]') ? 'it uses libaio' : undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return code === 'ENOENT' || code === 'ESRCH' ? undefined : `it can't be looked into: ${message}`
  }
}

/** Of a /proc/PID/status; undefined for a process that has ended and only waits for its parent. */
function pinnedPages(status: string): number | undefined {
  if (/^State:\s+[ZX]/m.test(status)) return undefined
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0)
  // io_uring, RDMA and iommufd account as pinned; VFIO, in its older form, as locked.
  return (field('VmPin') + field('VmLck')) / pageKiB
}

/** What each descriptor of a process leads to. */
function descriptors(own: string): Map<string, string> {
  const targets = new Map<string, string>()
  for (const fd of readdirSync(path.join(own, 'fd')))
    try {
      targets.set(fd, readlinkSync(path.join(own, 'fd', fd)))
    } catch {
      // It was closed meanwhile.
    }
  return targets
}

/** Pages of its fixed buffers, which newer kernels do not account to the process; undefined while a ring is busy. */
function registeredPages(own: string): number | undefined {
  let bytes = 0
  for (const [fd, target] of descriptors(own)) {
    if (target !== ioUring) continue
    const info = readFileSync(path.join(own, 'fdinfo', fd), 'latin1')
    const buffers = /^UserBufs:\s+(\d+)\n((?: *\d+: .*\n)*)/m.exec(info)
    if (!buffers) return undefined
    for (const [, length] of buffers[2]!.matchAll(/\/(\d+)$/gm)) bytes += Number(length)
    // Kernels that do not list a buffer while its ring is busy still count it.
    if (Number(buffers[1]) > 0 && bytes === 0) return undefined
  }
  return Math.ceil(bytes / (pageKiB * 1024))
}

/**
 * Pins outstanding on the whole host, in pages; undefined where the kernel does not count them. Zero is a proof that
 * there are none (but for pages in pipes); anything else may be anybody's.
 */
export function pinsOutstanding(proc = '/proc'): number | undefined {
  try {
    // The counters are kept by processor; this adds them up.
    readFileSync(path.join(proc, 'sys/vm/stat_refresh'))
  } catch {
    return undefined
  }
  const vmstat = readFileSync(path.join(proc, 'vmstat'), 'latin1')
  const counter = (name: string) => new RegExp(`^${name} (\\d+)$`, 'm').exec(vmstat)?.[1]
  const acquired = counter('nr_foll_pin_acquired')
  const released = counter('nr_foll_pin_released')
  return acquired === undefined || released === undefined ? undefined : Number(acquired) - Number(released)
}

/** Pages that living processes are known to have pinned. */
export function pinsAccounted(proc = '/proc'): number {
  let pages = 0
  for (const name of readdirSync(proc)) {
    if (!/^\d+$/.test(name)) continue
    try {
      const own = path.join(proc, name)
      const accounted = pinnedPages(readFileSync(path.join(own, 'status'), 'latin1')) ?? 0
      pages += Math.max(accounted, registeredPages(own) ?? 0)
    } catch {
      // It has ended.
    }
  }
  return pages
}
