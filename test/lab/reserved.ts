const MiB = 2 ** 20

/** Physical memory that the lab's kernels are told to keep their hands off. Bytes; end is exclusive. */
export const softReserved = { base: 0x4000_0000, bytes: 512 * MiB } as const
/** Nothing but /dev/mem reaches it: no struct pages, not in the kernel's direct map. */
export const reserved = { base: 0x6000_0000, bytes: 128 * MiB } as const

/**
 * The $ form keeps the kernel's address-space randomisation out of the range, which does not understand the % form; the
 * latter then makes soft-reserved memory (0xefffffff) of what is reserved (2).
 */
export const reservingParameters = [
  `memmap=512M$0x${softReserved.base.toString(16)}`,
  `memmap=512M%0x${softReserved.base.toString(16)}-2+0xefffffff`,
  `memmap=128M$0x${reserved.base.toString(16)}`,
  'dax_hmem.region_idle=1',
] as const
