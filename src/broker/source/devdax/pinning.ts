import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import path from 'node:path'

/**
 * Who may make the kernel keep references to its memory while it stands still itself: by drivers and rings that work
 * for it. References that are there already are counted elsewhere (page-references.ts).
 */

/** Descriptors by which a driver takes user memory for as long as it likes. */
const pinners =
  /^(\/dev\/vfio\/|\/dev\/iommu$|\/dev\/infiniband\/|\/dev\/sev$|\/dev\/vhost|anon_inode:.*vfio|anon_inode:.*iommu)/
const ioUring = 'anon_inode:[io_uring]'

/** Why, in one phrase; undefined when it can't, or is gone. */
export function pinningOf(pid: number, proc = '/proc'): string | undefined {
  const own = path.join(proc, String(pid))
  try {
    if (/^State:\s+[ZX]/m.test(readFileSync(path.join(own, 'status'), 'latin1'))) return undefined
    const targets = descriptors(own)
    const pinner = targets.find(target => pinners.test(target))
    if (pinner !== undefined) return `it has ${pinner} open`
    if (targets.includes(ioUring)) return 'it uses io_uring'
    // The kernel's older asynchronous I/O shows as a mapping of its ring.
    return readFileSync(path.join(own, 'maps'), 'latin1').includes('[aio]') ? 'it uses libaio' : undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return code === 'ENOENT' || code === 'ESRCH' ? undefined : `it can't be looked into: ${message}`
  }
}

/** What the descriptors of a process lead to. */
function descriptors(own: string): string[] {
  return readdirSync(path.join(own, 'fd')).flatMap(fd => {
    try {
      return [readlinkSync(path.join(own, 'fd', fd))]
    } catch {
      // It was closed meanwhile.
      return []
    }
  })
}
