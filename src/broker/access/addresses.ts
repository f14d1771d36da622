/** As the broker and its sources write them: 0x40000000, alone or as a range, and 40000000-4fffffff as the kernel has them. */
const address = /0x[0-9a-f]+(?:-0x[0-9a-f]+)?|\b[0-9a-f]{6,16}-[0-9a-f]{6,16}\b/gi

/**
 * A sentence for a client. Where memory is, of the machine and of the kernel, is for administrators: to anybody else it is
 * the first half of an attack.
 */
export function redactedFor({ isAdmin }: { isAdmin: boolean }, text: string): string {
  return isAdmin ? text : text.replaceAll(address, '(address)')
}
