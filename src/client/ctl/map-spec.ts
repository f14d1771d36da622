import { parseSize } from '../../../protocol/units'
import type { Access } from '../index'
import { UsageError } from './exit'

/** One --map of exec. */
export interface MapSpec {
  readonly name: string
  /** Undefined: the lowest free one from 3. */
  readonly fd: number | undefined
  /** An absolute path at which the command finds the memory. */
  readonly path: string | undefined
  readonly access: Access
  readonly offset: number
  /** Undefined: to the end of the allocation. */
  readonly length: number | undefined
  readonly guestAddress: number | undefined
  /** Make the allocation with this many bytes where there is none. */
  readonly allocate: number | undefined
}

export const mapSyntax =
  'NAME[:fd=N][,path=PATH][,access=read|readWrite][,offset=SIZE][,length=SIZE][,guest=ADDRESS][,allocate=SIZE]'

/** Options begin at the first separator that a known key follows, so that names may hold colons and commas. */
const optionsStart = /[:,](?=(?:fd|path|access|offset|length|guest|allocate)=)/

/** @throws UsageError */
export function parseMapSpec(text: string): MapSpec {
  const start = text.search(optionsStart)
  const name = start < 0 ? text : text.slice(0, start)
  if (name === '')
    throw new UsageError(`--map ${JSON.stringify(text)} names no allocation; its form is ${mapSyntax}`)
  const options = new Map<string, string>()
  for (const part of start < 0 ? [] : text.slice(start + 1).split(',')) {
    const [, key, value] = /^(fd|path|access|offset|length|guest|allocate)=(.+)$/.exec(part) ?? []
    if (key === undefined || value === undefined)
      throw new UsageError(`--map: ${JSON.stringify(part)} is not understood; the form is ${mapSyntax}`)
    if (options.has(key)) throw new UsageError(`--map ${name}: ${key} is given twice`)
    options.set(key, value)
  }
  const place = options.get('path')
  if (place !== undefined) {
    checkPath(name, place)
    for (const key of ['offset', 'length'])
      if (options.has(key))
        throw new UsageError(`--map ${name}: a path shows the whole allocation; it goes without ${key}`)
  }
  return {
    name,
    fd: descriptorNumber(name, options.get('fd')),
    path: place,
    access: accessOf(name, options.get('access')),
    offset: bytes(name, 'offset', options.get('offset')) ?? 0,
    length: bytes(name, 'length', options.get('length')),
    guestAddress: bytes(name, 'guest', options.get('guest')),
    allocate: bytes(name, 'allocate', options.get('allocate')),
  }
}

/** A descriptor number for each, those that are free and not kept counted up from 3. */
export function numberDescriptors(specs: readonly MapSpec[], kept: readonly number[] = []): number[] {
  const taken = new Set(kept)
  for (const { name, fd } of specs) {
    if (fd === undefined) continue
    if (taken.has(fd))
      throw new UsageError(`--map ${name}: descriptor ${fd} is given to another --map, or kept, already`)
    taken.add(fd)
  }
  let next = 3
  return specs.map(({ fd }) => {
    if (fd !== undefined) return fd
    while (taken.has(next)) next++
    taken.add(next)
    return next
  })
}

function checkPath(name: string, text: string): void {
  const [root, ...parts] = text.split('/')
  if (root !== '' || parts.some(part => ['', '.', '..'].includes(part)))
    throw new UsageError(
      `--map ${name}: path=${text} is not an absolute path without empty parts, "." and ".."`,
    )
}

function descriptorNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const fd = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(fd))
    throw new UsageError(`--map ${name}: ${JSON.stringify(text)} is not a descriptor number`)
  if (fd < 3) throw new UsageError(`--map ${name}: descriptors 0 to 2 are the command's input and output`)
  return fd
}

function accessOf(name: string, text: string | undefined): Access {
  if (text === undefined || text === 'readWrite') return 'readWrite'
  if (text === 'read') return 'read'
  throw new UsageError(`--map ${name}: access is read or readWrite, not ${JSON.stringify(text)}`)
}

function bytes(name: string, key: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = /^0x[0-9a-f]+$/i.test(text) ? Number(text) : parseSize(text)
  if (value === undefined || !Number.isSafeInteger(value)) {
    throw new UsageError(`--map ${name}: ${key}=${text} is not a size: write 4G, 512M, 2MiB, 0x1000 or bytes`)
  }
  return value
}
