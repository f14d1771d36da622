import { parseSize } from '../../../../protocol/units'
import { exitCode, Failure } from '../exit'
import type { MapFacts } from '../placeholder'
import { formatOption, isOn, parseOption, type QemuOption } from './qemu-options'

/** A domain, read from the command line that libvirt starts QEMU with. */
export interface Domain {
  readonly name: string
  readonly uuid: string
  /** One for the domain, or one for each NUMA cell. */
  readonly memories: readonly DomainMemory[]
}

interface DomainMemory {
  readonly allocation: string
  readonly bytes: number
  /** Where its backend is on the command line. */
  readonly index: number
  readonly backend: QemuOption
}

/** Options that give a domain memory, or change its memory, unseen here. */
const refusedOptions = /^--?(?:mem-path|readconfig|set)$/
/** Properties with which a backend is other memory than the whole allocation. */
const refusedProperties = ['align', 'offset', 'pmem', 'readonly', 'rom']

/** @throws Failure DomainRefused: the domain's memory would not be the broker's, all of it and this domain's alone */
export function readDomain(args: readonly string[]): Domain {
  // Node.js has no other sign of bytes that are not UTF-8, and QEMU would not get them as they were.
  if (args.some(arg => arg.includes('\ufffd'))) refuse('an argument is not UTF-8')
  const hidden = args.find(arg => refusedOptions.test(arg))
  if (hidden !== undefined) refuse(`${hidden} can give the domain memory that is not the broker's`)

  const name = nameOf(valuesOf(args, 'name'))
  const uuid = uuidOf(valuesOf(args, 'uuid'))
  const cells = valuesOf(args, 'numa').map(({ value }) => parse(value, 'type'))
  const users = [...valuesOf(args, 'machine'), ...valuesOf(args, 'M')].map(({ value }) =>
    parse(value, 'type'),
  )
  if (valuesOf(args, 'm').some(({ value }) => /\b(?:slots|maxmem)=/.test(value)))
    refuse('memory that libvirt attaches later would not be kept: remove <maxMemory> and memory devices')

  const memories = valuesOf(args, 'object').flatMap(({ value, index }) => {
    const backend = parse(value, 'qom-type')
    const type = String(get(backend, 'qom-type'))
    if (!type.startsWith('memory-backend-')) return []
    const id = String(get(backend, 'id'))
    const cell = cells.find(numa => get(numa, 'memdev') === id)
    if (!cell && !users.some(machine => get(machine, 'memory-backend') === id))
      refuse(
        `the memory '${id}' is that of a device (DIMM, NVDIMM, virtio-mem, SGX or shmem), which the broker would not keep: remove it`,
      )
    checkBackend(backend, type, id)
    const bytes = bytesOf(get(backend, 'size'))
    if (bytes === undefined) return refuse(`the memory '${id}' has no size`)
    return [{ bytes, index, backend, cell: cell && String(get(cell, 'nodeid')) }]
  })
  if (memories.length === 0)
    refuse(
      "the domain has no memory backend: write <source type='file'/> and <access mode='shared'/> in <memoryBacking>",
    )
  if (memories.length > 1 && memories.some(({ cell }) => !/^\d+$/.test(cell ?? '')))
    refuse('the domain has several memories, and not all are those of NUMA cells')
  const single = memories.length === 1
  return {
    name,
    uuid,
    memories: memories.map(({ cell, ...memory }) => ({
      ...memory,
      allocation: `vm-${name}/${single ? 'ram' : `ram-${cell}`}`,
    })),
  }
}

/** The arguments with the broker's descriptors in the place of libvirt's files. facts: of each memory, in order. */
export function withMemory(args: readonly string[], domain: Domain, facts: readonly MapFacts[]): string[] {
  const replaced = [...args]
  for (const [order, { index, backend }] of domain.memories.entries()) {
    const { path, align } = facts[order]!
    replaced[index] = formatOption(backend, { 'mem-path': path, align })
  }
  return replaced
}

function refuse(reason: string): never {
  throw new Failure('DomainRefused', `${reason}. Nothing was started`, exitCode.usage)
}

interface Value {
  readonly value: string
  readonly index: number
}

function valuesOf(args: readonly string[], option: string): Value[] {
  return args.flatMap((arg, index) =>
    arg === `-${option}` || arg === `--${option}` ? [{ value: args[index + 1] ?? '', index: index + 1 }] : [],
  )
}

function parse(value: string, implied: string): QemuOption {
  try {
    return parseOption(value, implied)
  } catch (error) {
    return refuse(`${value} is not JSON: ${(error as Error).message}`)
  }
}

function get({ pairs }: QemuOption, wanted: string): unknown {
  return pairs.findLast(([key]) => key === wanted)?.[1]
}

/**
 * The name is part of the allocation's, so it must not have the slash that divides that; libvirt refuses such a name, too. Any
 * other text is as good: the broker gets it unchanged, and different names are different allocations.
 */
function nameOf(values: readonly Value[]): string {
  const names = values.flatMap(({ value }) =>
    parse(value, 'guest').pairs.flatMap(([key, name]) => (key === 'guest' ? [String(name)] : [])),
  )
  const [name, second] = names
  if (name === undefined || name === '') return refuse('the domain has no name')
  if (second !== undefined) refuse('the domain has two names')
  if (name.includes('/')) refuse(`the domain's name ${JSON.stringify(name)} has a slash`)
  return name
}

function uuidOf(values: readonly Value[]): string {
  const [uuid, second] = values.map(({ value }) => value)
  if (uuid === undefined || second !== undefined || !/^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i.test(uuid))
    return refuse('the domain has no UUID, or several')
  return uuid.toLowerCase()
}

function checkBackend(backend: QemuOption, type: string, id: string): void {
  const counts = new Map<string, number>()
  for (const [key] of backend.pairs) counts.set(key, (counts.get(key) ?? 0) + 1)
  const twice = [...counts].find(([, count]) => count > 1)
  if (twice) refuse(`the memory '${id}' has ${twice[0]} twice`)
  if (type !== 'memory-backend-file')
    refuse(
      `the memory '${id}' is a ${type}: write <source type='file'/> and <access mode='shared'/> in <memoryBacking>`,
    )
  if (!isOn(get(backend, 'share')))
    refuse(
      `the memory '${id}' is private: write <access mode='shared'/> in <memoryBacking>, and no other memAccess in <cell>`,
    )
  if (isOn(get(backend, 'discard-data')))
    refuse('QEMU would discard the memory when it ends: remove <discard/> from <memoryBacking>')
  const property = refusedProperties.find(key => counts.has(key))
  if (property)
    refuse(`the memory '${id}' has the property ${property}, which the broker's memory can't have`)
  // For <source type='file'/> libvirt makes a file of the backend's name; for <hugepages/> it names a folder.
  if (!String(get(backend, 'mem-path')).endsWith(`/${id}`))
    refuse(
      `the memory '${id}' is not a file that libvirt makes for <source type='file'/>: remove <hugepages/>; the broker's range decides the size of pages`,
    )
}

function bytesOf(size: unknown): number | undefined {
  return typeof size === 'number' && Number.isSafeInteger(size) ? size : parseSize(String(size))
}
