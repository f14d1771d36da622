import { readFileSync } from 'node:fs'
import { InvalidArgumentError } from 'commander'
import { systemReason } from '../../../protocol/system-reason'
import { parseSize } from '../../../protocol/units'
import { UsageError } from './exit'

/** Parsers for commander, which names the option or argument, and the text, before their message. */
export function sizeArgument(text: string): number {
  const bytes = parseSize(text)
  if (bytes === undefined) throw new InvalidArgumentError('Write a size as 4G, 512M, 2MiB or bytes')
  return bytes
}

export function wholeArgument(text: string): number {
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value))
    throw new InvalidArgumentError('Write a whole number, from 0 to 2^53-1, or 0x and hexadecimal digits')
  return value
}

/** A size, or 0x and hexadecimal digits. */
export function offsetArgument(text: string): number {
  return /^0x/i.test(text) ? wholeArgument(text) : sizeArgument(text)
}

/** A part of an allocation or of a range. */
export function partArgument(text: string): { offset: number; length: number } {
  const [offset, length, ...rest] = text.split('+')
  if (!offset || !length || rest.length > 0)
    throw new InvalidArgumentError('Write OFFSET+LENGTH, as in 1G+256M or 0x40000000+1G')
  return { offset: offsetArgument(offset), length: offsetArgument(length) }
}

/** For an argument that may be repeated. */
export function each<T>(parse: (text: string) => T): (text: string, all?: readonly T[]) => T[] {
  return (text, all = []) => [...all, parse(text)]
}

export function jsonObjectArgument(text: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // Told below, as any other text that is no object.
  }
  throw new InvalidArgumentError('Write a JSON object, as in {"vm":"web-3"}')
}

/** A secret never stands on a command line, where every process could read it. */
export function readSecret(path: string | undefined): { secret?: string } {
  if (path === undefined) return {}
  try {
    return { secret: readFileSync(path === '-' ? 0 : path, 'utf8').replace(/\r?\n$/, '') }
  } catch (error) {
    throw new UsageError(`--secret-file: ${path}: ${systemReason(error)}`)
  }
}
