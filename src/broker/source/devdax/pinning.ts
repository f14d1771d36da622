import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import path from 'node:path'

/**
 * Finds processes for which the kernel may take references to their memory even while they are stopped: drivers and rings
 * work for them. page-references.ts counts the references that exist already.
 */

/** With these descriptors a driver pins user memory for as long as it likes. */
const pinners =
  /^(\/dev\/vfio\/|\/dev\/iommu$|\/dev\/infiniband\/|\/dev\/sev$|\/dev\/vhost|anon_inode:.*vfio|anon_inode:.*iommu)/
const ioUring = 'anon_inode:[io_uring]'

/** The reason, in one phrase. undefined: there is no reason, or the process is gone. */
export function pinningOf(pid: number, proc = '/proc'): string | undefined {
  const own = path.join(proc, String(pid))
  try {
    if (/^State:\s+[ZX]/m.test(readFileSync(path.join(own, 'status'), 'latin1'))) return undefined
    const targets = descriptors(own)
    const pinner = targets.find(target => pinners.test(target))
    if (pinner !== undefined) return `it has ${pinner} open`
    if (targets.includes(ioUring)) return 'it uses io_uring'
    // libaio shows as a mapping of its ring.
    return readFileSync(path.join(own, 'maps'), 'latin1').includes('[aio]') ? 'it uses libaio' : undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return code === 'ENOENT' || code === 'ESRCH' ? undefined : `it can't be looked into: ${message}`
  }
}

/** The targets of a process's descriptors. */
function descriptors(own: string): string[] {
  return readdirSync(path.join(own, 'fd')).flatMap(fd => {
    try {
      return [readlinkSync(path.join(own, 'fd', fd))]
    } catch {
      // The process has closed it meanwhile.
      return []
    }
  })
}
