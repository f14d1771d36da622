/** The forms that the broker and its sources write (0x40000000, alone or as a range) and the kernel's (40000000-4fffffff). */
const address = /0x[0-9a-f]+(?:-0x[0-9a-f]+)?|\b[0-9a-f]{6,16}-[0-9a-f]{6,16}\b/gi

/**
 * A sentence for a client. Only administrators see physical and kernel addresses: to anybody else they are the first half of
 * an attack.
 */
export function redactedFor({ isAdmin }: { isAdmin: boolean }, text: string): string {
  return isAdmin ? text : text.replaceAll(address, '(address)')
}
