import type { AllocationInfo } from '../../index'
import { checkNoneAway } from '../away'
import { exitCode, Failure } from '../exit'
import { type MemoryOwner, writtenGeneration } from './guest-memory'
import type { SavedFacts, SavedMemory } from './saved-state'
import type { MemorySettings } from './settings'

/**
 * Looks for the memory of a saved guest, before any is made. Where the broker has some of it, the file must name just that.
 * @throws Failure MemoryChanged, RangeAway
 */
export async function checkSavedMemory(
  { broker, vm, signal }: MemoryOwner,
  saved: SavedFacts,
  memory: readonly MemorySettings[],
): Promise<void> {
  const present: AllocationInfo[] = []
  for await (const info of broker.list({ prefix: `${vm}/`, signal })) present.push(info)
  const found = saved.memory.map(one => ({ ...one, info: present.find(info => isOf(one, info)) }))
  const missing = found.filter(({ info }) => info === undefined)
  if (missing.length > 0)
    await checkNoneAway(broker, 'the memory of the saved guest', 'boot with --discard-state', { signal })
  if (missing.length === found.length) return
  for (const { info, generation } of found)
    if (info && writtenGeneration(info) === undefined)
      throw memoryChanged(
        `somebody has replaced the metadata of its memory ${info.name}. If nothing else has used that memory, put ` +
          `${JSON.stringify({ generation })} back by "broker-ctl set-metadata"`,
      )
  const isNamed =
    found.length === memory.length && found.every(({ info }, i) => info?.name === memory[i]!.allocation)
  if (!isNamed) throw otherMemory()
}

/** After a boot other memory may have the same id: where there is a generation, that decides. */
function isOf({ id, generation }: SavedMemory, info: AllocationInfo): boolean {
  const written = writtenGeneration(info)
  return written === undefined ? info.id === id : written === generation
}

export function otherMemory(): Failure {
  return memoryChanged('with other memory than the file says: put [[memory]] back as it was')
}

function memoryChanged(why: string): Failure {
  return new Failure(
    'MemoryChanged',
    `a guest is saved, but ${why}, or boot with --discard-state`,
    exitCode.refused,
  )
}
