import type { ShrinkIn, ShrinkOut } from '../../../protocol/generated/broker'
import { roundUp } from '../../../protocol/units'
import { inRange } from '../allocator/extents'
import type { Broker } from '../broker'
import { recordKernelFailures } from '../contents/poison'
import { refuse } from '../refusal'
import type { Session } from '../session/session'
import type { Allocation, Retired } from '../state/allocation'
import { memoryOf } from '../state/range'
import { viewAllocation } from '../state/wire-view'
import { makeMemory, undone } from './allocate'
import { invalid } from './arguments'
import { findForResize } from './authorize'

/** The table first has the smaller size, and the end as retired memory. Then the end becomes free like any retired memory. */
export async function shrink(broker: Broker, session: Session, input: ShrinkIn): Promise<ShrinkOut> {
  const allocation = findForResize(broker.inventory, session, input)
  const { range, record } = allocation
  const { source } = range
  const bytes = Math.min(roundUp(input.bytes, source.unitBytes), Number.MAX_SAFE_INTEGER)
  if (bytes > record.bytes)
    invalid('bytes', `'${record.name}' has ${record.bytes} bytes; Grow makes it larger`)
  if (bytes === record.bytes) return { allocation: viewAllocation(allocation) }
  checkUnmapped(allocation, bytes)
  if (!source.shrink)
    refuse('SourceFailed', {
      range: range.name,
      operation: 'shrink',
      code: 'EOPNOTSUPP',
      reason: `an allocation of a ${source.kind} range keeps its size`,
    })
  const extents = inRange(record.extents, 0, bytes)
  const end = inRange(record.extents, bytes, record.bytes - bytes)
  const before = memoryOf(record)
  allocation.busy = 'shrink'
  let retired: Retired | undefined
  let begun = false
  try {
    if (!(await broker.contents.stop(allocation.id)))
      refuse('Busy', { name: record.name, operation: 'verify' })
    recordKernelFailures(broker, range, record.extents)
    await makeMemory(range, 'shrink', () => source.shrink?.({ ...before, bytes, extents }, before))
    begun = true
    broker.checkThawed()
    retired = broker.inventory.shrink(allocation, { bytes, extents }, end)
    broker.changed('shrunk', allocation, { pid: session.peer.pid, bytes })
    await broker.revoker.reclaimEnd(allocation, retired)
    return { allocation: viewAllocation(allocation) }
  } finally {
    if (begun && !retired) await undone(broker, source.undoShrink?.(before))
    allocation.busy = undefined
  }
}

/** A layout that reaches beyond the end could not be claimed any more. */
function checkUnmapped({ name, mappings }: Allocation, bytes: number): void {
  for (const { id, record, state } of mappings.values())
    if (record.offset + record.length > bytes)
      refuse('Busy', {
        name,
        operation: `mapping ${id}, ${state}, reaches to ${record.offset + record.length} bytes; revoke it first`,
      })
}
