const factors: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40, P: 2 ** 50 }

/**
 * Bytes from '4G', '512MiB', '2 MB', '4096' (all powers of 1024), or a number of bytes.
 * undefined when it is not a whole number of bytes from 0 to 2^53-1.
 */
export function parseSize(text: number | string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([KMGTP]?)(?:i?B)?$/i.exec(String(text).trim())
  if (!match) return undefined
  const bytes = Number(match[1]) * factors[match[2]!.toUpperCase()]!
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** The shortest exact or rounded form in powers of 1024: 4294967296 is '4 GiB', 1234567 is '1.2 MiB'. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`
}
