import type { Client } from '../../../index'
import { bad, type CheckResult, good, notApplicable, warning } from '../check'
import type { HostFiles } from '../host-files'

/**
 * Each client has a connection and a pidfd. The broker itself, its sources and its messages under way need some descriptors
 * too.
 */
const descriptorsFor = (clientsMax: number) => 2 * clientsMax + 1024

/** Whether the broker numbers processes as this one does: it sees this process by the same number. */
export function isOurs(clients: readonly Client[], self: { pid: number; getuid?: () => number }): boolean {
  return clients.some(({ pid, uid }) => pid === self.pid && uid === self.getuid?.())
}

/** A process that the broker can't see can't hold memory: nobody would notice its end. */
export function visibility(clients: readonly Client[]): CheckResult {
  const unseen = clients.filter(({ pid }) => pid === 0).length
  return unseen === 0
    ? good('the broker sees the processes of its clients')
    : bad(
        `the broker is in a pid namespace of its own and can't see the processes of ${unseen} of its connections, so it gives them no memory`,
        "run the broker in the host's pid namespace: in a container with --pid=host, as a service without PrivatePIDs=; then restart it",
      )
}

/** Whether the broker may have as many descriptors open as its clients need. */
export function descriptors(
  files: HostFiles,
  { pid, clientsMax }: { pid: number; clientsMax: number },
): CheckResult {
  const limits = files.text(`/proc/${pid}/limits`)
  const soft = /^Max open files\s+(\S+)/m.exec(limits ?? '')?.[1]
  if (soft === undefined) return notApplicable("only root and the broker's own user can see its limits")
  const needed = descriptorsFor(clientsMax)
  return soft === 'unlimited' || Number(soft) >= needed
    ? good(`the broker may have ${soft} descriptors open`)
    : warning(
        `the broker may have ${soft} descriptors open; ${clientsMax} clients may need ${needed}`,
        `prlimit --pid ${pid} --nofile=${needed}`,
      )
}

export function uidOf(files: HostFiles, pid: number): number | undefined {
  const effective = /^Uid:\s+\d+\s+(\d+)/m.exec(files.text(`/proc/${pid}/status`) ?? '')?.[1]
  return effective === undefined ? undefined : Number(effective)
}

/** While the broker follows the log, it has the file open. */
export function kernelLog(files: HostFiles, pid: number): CheckResult {
  const folder = `/proc/${pid}/fd`
  const links = files.list(folder).map(fd => files.link(`${folder}/${fd}`))
  if (links.every(link => link === undefined))
    return notApplicable("only root and the broker's own user can see its open files")
  return links.includes('/dev/kmsg')
    ? good("the broker follows the kernel's log, so it knows which memory fails")
    : warning(
        "the broker can't read the kernel's log: only the holder notices memory that fails while it is in use, and after a kexec the broker may give it to somebody else",
        'give the broker CAP_SYSLOG and /dev/kmsg (not ProtectKernelLogs=), and restart it',
      )
}
