import { closeSync, openSync, readSync } from 'node:fs'

const kernelPageBytes = 4096
const flagsBytes = 8
/** KPF_HWPOISON of linux/kernel-page-flags.h */
const poisonedBit = 1n << 19n
const pagesPerRead = 512

/** Whether the kernel itself holds some page of this physical memory to be bad. False where it can't tell. */
export function kernelKnowsBad(address: number, bytes: number): boolean {
  let fd: number
  try {
    fd = openSync('/proc/kpageflags', 'r')
  } catch {
    return false
  }
  try {
    const flags = Buffer.alloc(pagesPerRead * flagsBytes)
    const end = Math.ceil((address + bytes) / kernelPageBytes)
    for (let page = Math.floor(address / kernelPageBytes); page < end; page += pagesPerRead) {
      const wanted = Math.min(pagesPerRead, end - page) * flagsBytes
      const read = readSync(fd, flags, 0, wanted, page * flagsBytes)
      for (let at = 0; at + flagsBytes <= read; at += flagsBytes)
        if (flags.readBigUInt64LE(at) & poisonedBit) return true
    }
    return false
  } catch {
    return false
  } finally {
    closeSync(fd)
  }
}
