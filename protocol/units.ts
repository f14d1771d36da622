/** 1024 bytes. */
export const KiB = 1024
/** 1024 KiB. */
export const MiB = 1024 * KiB
/** 1024 MiB. */
export const GiB = 1024 * MiB
/** 1024 GiB. */
export const TiB = 1024 * GiB

/** Bytes of a unit by its letter, as in 64G and 64GiB; none: bytes. */
export const unitBytes: Readonly<Record<string, number>> = {
  '': 1,
  K: KiB,
  M: MiB,
  G: GiB,
  T: TiB,
  P: 1024 * TiB,
  E: 1024 * 1024 * TiB,
}

/**
 * Bytes from '4G', '512MiB', '2 MB', '4096' (all powers of 1024), or a number of bytes.
 * undefined when it is not a whole number of bytes from 0 to 2^53-1.
 */
export function parseSize(text: number | string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([KMGTP]?)(?:i?B)?$/i.exec(String(text).trim())
  if (!match) return undefined
  const bytes = Number(match[1]) * unitBytes[match[2]!.toUpperCase()]!
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

/** '4s', '5m 03s', '2h 11m', '3d 02h': at most seven cells. '-' for a time that nobody knows (NaN). */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return '-'
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const two = (value: number) => String(value).padStart(2, '0')
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h ${two(Math.floor(seconds / 60) % 60)}m`
  return `${Math.floor(seconds / 86_400)}d ${two(Math.floor(seconds / 3600) % 24)}h`
}

/** A size or address as the kernel's parameters have it: hexadecimal with 0x, octal with 0, and K, M, G, T, P or E behind. */
export function parseKernelSize(text: string): number | undefined {
  return takeKernelSize(text)?.bytes
}

/** The one that a text begins with, and what follows it. */
export function takeKernelSize(text: string): { bytes: number; rest: string } | undefined {
  const match = /^(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)([KMGTPE]?)/i.exec(text)
  if (!match) return undefined
  const [whole, digits, letter] = match as unknown as [string, string, string]
  const number = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits)
  return { bytes: number * unitBytes[letter.toUpperCase()]!, rest: text.slice(whole.length) }
}

/** Bytes for a parameter of the kernel or a mount option, as short as it can be without loss. */
export function formatKernelSize(bytes: number): string {
  const letter = ['G', 'M', 'K'].find(unit => bytes % unitBytes[unit]! === 0) ?? ''
  return `${bytes / unitBytes[letter]!}${letter}`
}

export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}

export function roundDown(value: number, unit: number): number {
  return Math.floor(value / unit) * unit
}

export function isPowerOfTwo(value: number): boolean {
  return value > 0 && value === 2 ** Math.round(Math.log2(value))
}
