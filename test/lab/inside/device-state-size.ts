/** Of the allocation that keeps a guest's device state, in bytes; QEMU's counting guest needs a fifth of it. */
export const deviceStateBytesMax = 2 ** 21
