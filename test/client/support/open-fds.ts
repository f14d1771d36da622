import { readdirSync } from 'node:fs'

/** This process' open descriptors, without the one that reading the list takes. */
export function openFds(): number {
  return readdirSync('/proc/self/fd').length - 1
}
