import { closeSync, readSync } from 'node:fs'
import { native } from '../../../native'
import type { ReadAllocationIn, ReadAllocationOut } from '../../../protocol/generated/broker'
import { readAllocationBytesMax } from '../../../protocol/wire/limits'
import type { Broker } from '../broker'
import { rawViewOff } from '../console/permission'
import { refuse, refuseSource } from '../refusal'
import type { Session } from '../session/session'
import type { Allocation } from '../state/allocation'
import { memoryOf } from '../state/range'
import { invalid } from './arguments'
import { checkIdle, findVisible } from './authorize'
import { readCommands } from './inspect'

/** Reads bytes of an allocation, for people. It leaves nothing open. */
export async function readAllocation(
  broker: Broker,
  session: Session,
  input: ReadAllocationIn,
): Promise<ReadAllocationOut> {
  await readCommands(broker, [session])
  if (!broker.settings.console?.rawView) refuse('PermissionDenied', { reason: rawViewOff })
  const allocation = findVisible(broker.inventory, session, input.name)
  checkIdle(allocation)
  // A proof takes several steps, in another process. If the broker read the memory between two of them, the proof would find
  // the broker as a holder.
  broker.contents.checkMayRead(allocation)
  const { name, offset, length } = input
  const { bytes } = allocation.record
  if (length < 1 || length > readAllocationBytesMax)
    invalid('length', `a length is from 1 to ${readAllocationBytesMax} bytes`)
  if (offset < 0 || offset > bytes - length)
    invalid('offset', `'${name}' has ${bytes} bytes; ${length} at ${offset} are not all inside`)
  if (allocation.range.source.byNameOnly)
    refuse('PermissionDenied', {
      reason: `'${name}' is no ordinary memory: reading it may have effects`,
    })
  const { id, peer, command } = session
  broker.log.warn(
    { client: id, pid: peer.pid, uid: peer.uid, command, allocation: name, offset, length },
    'a client read bytes of an allocation',
  )
  return { data: read(allocation, offset, length).toString('base64') }
}

/** @throws Refusal SourceFailed */
function read({ range, record }: Allocation, offset: number, length: number): Buffer {
  const { source } = range
  const memory = memoryOf(record)
  const start = source.descriptorOffset(memory) + offset
  let fd: number | undefined
  try {
    fd = source.open(memory, false)
    if (source.capabilities.fdBound !== 'file')
      return native.mappedRead(fd, start, length, source.capabilities.pageBytes)
    // This reads the file instead of mapping it: a mapping would fill the holes of a sparse file.
    const bytes = Buffer.alloc(length)
    return bytes.subarray(0, readSync(fd, bytes, 0, length, start))
  } catch (error) {
    return refuseSource(range.name, 'read', error)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}
