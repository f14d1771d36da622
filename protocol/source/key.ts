import { isPowerOfTwo, KiB, parseSize } from '../units'

/** Why a value of the configuration can't be used: a sentence. */
export class Mistake {
  constructor(readonly reason: string) {}
}

/** A key of [[range]] that only some sources have. */
export interface Key<T> {
  /** The values that the file may have, as JSON Schema. */
  readonly schema: object
  /** Its meaning, in sentences for the manual. */
  readonly help: string
  readonly isNeeded?: boolean
  /** Its value, from the file's value in the schema's form. rangeBytes: the size of the range. */
  read(value: never, key: string, rangeBytes: number): T | Mistake
}

export type Keys = Readonly<Record<string, Key<unknown>>>

/** The values of keys, by their names in the file. */
export type ValuesOf<K> = {
  [Name in keyof K]?: (K[Name] extends Key<infer T> ? T : never) | undefined
}

export const sizeSchema = {
  anyOf: [
    { type: 'integer', minimum: 0 },
    { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)? ?([KMGTP]i?B?|B)?$' },
  ],
}
export const pathSchema = { type: 'string', pattern: '^/' }
export const uidSchema = { type: 'integer', minimum: 0 }
const addressSchema = {
  type: ['integer', 'string'],
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  pattern: '^0x[0-9a-fA-F]{1,13}$',
}

const asItIs = <T>(value: T): T => value

export const needed = <T>(key: Key<T>): Key<T> => ({ ...key, isNeeded: true })

export const pathKey = (help: string): Key<string> => ({ schema: pathSchema, help, read: asItIs })

const flagKey = (help: string): Key<boolean> => ({ schema: { type: 'boolean' }, help, read: asItIs })

export const choiceKey = <T extends string>(values: readonly T[], help: string): Key<T> => ({
  schema: { enum: values },
  help,
  read: asItIs,
})

export const uidsKey = (help: string): Key<readonly number[]> => ({
  schema: { type: 'array', items: uidSchema },
  help,
  read: asItIs,
})

/** A physical address: a number, or hexadecimal with 0x. */
const addressKey = (help: string): Key<number> => ({ schema: addressSchema, help, read: Number })

/** The size of a page or another unit of the range. */
export const unitKey = (help: string): Key<number> => ({ schema: sizeSchema, help, read: readUnit })

export function readSize(value: number | string, key: string): number | Mistake {
  return parseSize(value) ?? new Mistake(`${key}: '${value}' is not a size below 2^53 bytes`)
}

export function readUnit(value: number | string, key: string, rangeBytes: number): number | Mistake {
  const bytes = readSize(value, key)
  if (bytes instanceof Mistake || (isPowerOfTwo(bytes) && bytes >= 4 * KiB && bytes <= rangeBytes))
    return bytes
  return new Mistake(`${key} must be a power of two, at least 4KiB and at most the range's bytes`)
}

// Keys that several sources have.

export const base = needed(addressKey('the physical address at which the range begins.'))

export const preallocate = flagKey(
  "reserve an allocation's pages when it is made, not when a program touches them. Default: for huge pages only. On a DAX filesystem it always does.",
)
