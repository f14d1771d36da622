import { readSync } from 'node:fs'
import { GuestProcess, type GuestProcessOptions } from './guest-process'

/** Where the tiny guest's 64-bit little-endian counter is, as an offset in the descriptor (tiny-vmm.c, counter_address). */
export const tinyGuestCounterOffset = 0x1000

const childFd = 3

export interface TinyVmmOptions extends Omit<GuestProcessOptions, 'fds'> {
  /** The compiled monitor: buildGuest(). */
  program: string
  /** The guest's memory; stays the caller's. */
  fd: number
  bytes: number
  /** boot writes a guest and a zero counter; resume writes nothing and goes on with what is there. */
  start: 'boot' | 'resume'
  /** Increments between two printed lines; only with boot. */
  tickEvery?: number
  /** Instead of /dev/kvm. */
  device?: string
}

/** Start the tiny virtual machine monitor in a process of its own. */
export function startTinyVmm(options: TinyVmmOptions): GuestProcess {
  const { program, fd, bytes, start, tickEvery, device, ...processOptions } = options
  const command = [program, '--fd', String(childFd), '--size', String(bytes), `--${start}`]
  if (tickEvery !== undefined) command.push('--tick-every', String(tickEvery))
  if (device !== undefined) command.push('--device', device)
  return new GuestProcess(command, { ...processOptions, fds: new Map([[childFd, fd]]) })
}

/** The tiny guest's counter, read from its memory. */
export function readTinyGuestCounter(fd: number): bigint {
  const bytes = Buffer.alloc(8)
  const count = readSync(fd, bytes, 0, bytes.length, tinyGuestCounterOffset)
  if (count !== bytes.length) throw new Error(`the memory ends before the counter: ${count} bytes`)
  return bytes.readBigUInt64LE()
}
