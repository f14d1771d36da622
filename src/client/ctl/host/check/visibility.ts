import type { Client } from '../../../index'
import { bad, type CheckResult, good } from '../check'

/** Whether the broker numbers processes as this one does: it sees this process under the number it has here. */
export function isOurs(clients: readonly Client[], self: { pid: number; getuid?: () => number }): boolean {
  return clients.some(({ pid, uid }) => pid === self.pid && uid === self.getuid?.())
}

/** A process that the broker can't see can't hold memory, as nobody would notice its end. */
export function visibility(clients: readonly Client[]): CheckResult {
  const unseen = clients.filter(({ pid }) => pid === 0).length
  return unseen === 0
    ? good('the broker sees the processes of its clients')
    : bad(
        `the broker is in a pid namespace of its own and can't see the processes of ${unseen} of its connections, so it gives them no memory`,
        "run the broker in the host's pid namespace: in a container with --pid=host, as a service without PrivatePIDs=; then restart it",
      )
}
