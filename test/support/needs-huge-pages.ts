import { readFileSync } from 'node:fs'
import { needsRoot } from './needs-root'

/**
 * Whether there are free huge pages of 2 MiB (global-setup.js has asked for them) and this is root, who mounts them. Where
 * not, says what is left out; in CI that is a failure.
 */
export function needsHugePages(what: string, wanted = 16): boolean {
  if (!needsRoot(what)) return false
  const [, free = '0'] = /^HugePages_Free:\s+(\d+)$/m.exec(readFileSync('/proc/meminfo', 'latin1')) ?? []
  if (Number(free) >= wanted) return true
  const reason = `needs ${wanted} free huge pages, there are ${free}`
  if (process.env.CI) throw new Error(`${what}: ${reason}`)
  process.stderr.write(`\nLEFT OUT, ${reason}: ${what}\n\n`)
  return false
}
