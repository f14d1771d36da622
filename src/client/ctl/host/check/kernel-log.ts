import { type CheckResult, good, notApplicable, warning } from '../check'
import type { HostFiles } from '../host-files'

/** The broker has it open as long as it follows it. */
export function kernelLog(files: HostFiles, pid: number): CheckResult {
  const folder = `/proc/${pid}/fd`
  const links = files.list(folder).map(fd => files.link(`${folder}/${fd}`))
  if (links.every(link => link === undefined))
    return notApplicable("only root and the broker's own user can see what it has open")
  return links.includes('/dev/kmsg')
    ? good("the broker follows the kernel's log, so it knows what memory fails")
    : warning(
        "the broker can't read the kernel's log: memory that fails while it is in use is noticed only by its holder, and after a kexec somebody else may be given it",
        'give the broker CAP_SYSLOG and /dev/kmsg (not ProtectKernelLogs=), and restart it',
      )
}
