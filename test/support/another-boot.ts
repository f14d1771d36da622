import { writeFileSync } from 'node:fs'
import path from 'node:path'

/** For TestBroker.start(): becomes the command in a world of its own where the kernel says that it was booted anew. Needs root. */
export function anotherBoot(folder: string, digit = '0'): string[] {
  const file = path.join(folder, `boot-id-${digit}`)
  writeFileSync(file, `${digit.repeat(8)}-89ab-cdef-0123-456789abcdef\n`)
  const script = `mount --bind ${file} /proc/sys/kernel/random/boot_id && exec "$@"`
  return ['unshare', '--mount', 'sh', '-c', script, 'sh']
}
