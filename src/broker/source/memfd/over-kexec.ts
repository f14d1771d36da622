import { setTimeout as sleep } from 'node:timers/promises'
import type { RangeSettings } from '../../config/settings'
import { isEnvironment, SourceError } from '../../failure'
import { Refusal } from '../../refusal'
import type { Part } from '../../service/inherited'
import type { AllocationMemory, SourceHost } from '../source'
import { chargeableBytes } from './host-memory'
import { whyNotLive } from './live-sessions'
import { Preservation } from './preservation'

/** For the service manager to close a session. */
const endedMs = 50
const endedTriesMax = 200

/** undefined: it is not asked for, or this host can't do it. */
export async function preservationOf(
  { name, preserve }: RangeSettings,
  host: SourceHost,
): Promise<Preservation | undefined> {
  if (preserve !== 'always') return undefined
  const reason = await whyNotLive()
  if (reason === undefined) return new Preservation(name, host.files, host.fdStore)
  host.limited(`a kexec loses its memory: ${reason}`)
  return undefined
}

/**
 * Takes the memory of those without a memfd out of the kernel before, and frees what no table knows.
 * @throws SourceError, Refusal: what is not among the memfds then stays in the kernel
 */
export async function retrieveMissing(
  preservation: Preservation,
  host: SourceHost,
  memories: readonly AllocationMemory[],
  files: Map<number, number>,
): Promise<void> {
  const missing = memories.filter(({ id }) => !files.has(id))
  const bytes = missing.reduce((sum, memory) => sum + memory.bytes, 0)
  const room = chargeableBytes()
  // The kernel would end this process in the middle, and that memory would be lost.
  if (bytes > room)
    throw new SourceError(
      `${bytes} bytes that the kernel before has preserved are more than the ${room} bytes that this service's cgroup ` +
        'may still have (MemoryMax=); they stay in the kernel until the next start of the broker in this boot',
    )
  for (const memory of missing) {
    try {
      const fd = await preservation.retrieve(memory.id, memory.uid)
      if (fd !== undefined) files.set(memory.id, fd)
    } catch (error) {
      if (!isEnvironment(error) || error instanceof Refusal) throw error
      host.unavailable(memory, (error as Error).message)
    }
  }
  const discarded = await preservation.discard(memories.map(({ id }) => id))
  if (discarded.length > 0) host.discarded(discarded)
}

/** Preserves all of it again, for the next kexec. What can't be, such as a file that a holder keeps locked, costs no other. */
export async function preserveAll(
  preservation: Preservation,
  host: SourceHost,
  memories: readonly AllocationMemory[],
  files: ReadonlyMap<number, number>,
  table: number,
): Promise<void> {
  const failures: string[] = []
  const again = async (part: Part, fd: number, uid: number) => {
    try {
      await preservation.finish(part, uid)
      await preservation.preserve(part, fd, uid)
    } catch (error) {
      if (!isEnvironment(error)) throw error
      failures.push(`${part === 'table' ? 'the table' : `allocation ${part}`}: ${(error as Error).message}`)
    }
  }
  await again('table', table, process.getuid!())
  for (const { id, uid } of memories) {
    const fd = files.get(id)
    if (fd !== undefined) await again(id, fd, uid)
  }
  preservation.isComplete = failures.length === 0
  const more = failures.length > 1 ? `, and ${failures.length - 1} more` : ''
  if (failures.length > 0) host.limited(`a kexec loses memory of it (${failures[0]}${more})`)
}

/** The service manager closes its copy of a session a moment after it was asked to. Until then the kernel refuses changes. */
export async function onceNotPreserved(change: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await change()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
      // It frees the pages when it closes the last copy.
      if (tries === endedTriesMax) return
    }
    await sleep(endedMs)
  }
}
