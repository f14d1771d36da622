import type { AllocateIn } from '../../../protocol/generated/broker'
import type { Broker } from '../broker'
import { refuse } from '../refusal'
import type { Source } from '../source/source'
import type { Range } from '../state/range'
import { invalid } from './arguments'

/**
 * The ranges that an allocation may lie in, in the order of trying: the named one, or those of the configuration that the uid
 * may use, on the requested node. @throws Refusal where there is none
 */
export function candidates(broker: Broker, uid: number, input: AllocateIn): Range[] {
  const { ranges } = broker.inventory
  if (input.range !== null && input.range !== undefined) {
    const range = ranges.get(input.range)
    if (!range) refuse('NotFound', { kind: 'range', name: input.range })
    if (!broker.policy.mayUse(uid, range.name))
      refuse('PermissionDenied', { reason: `uid ${uid} may not use range '${range.name}'` })
    const reason = range.readable ? range.source.refusal?.(uid) : undefined
    if (reason !== undefined) refuse('PermissionDenied', { reason })
    if (range.reason !== undefined) refuseReadOnly(range)
    if (!isOfNode(range, input.node))
      invalid('node', `range '${range.name}' has memory of ${nodeText(range)}, not of node ${input.node}`)
    return [range]
  }
  const allowed = [...ranges.values()].filter(
    range => broker.policy.mayUse(uid, range.name) && (!range.readable || isOrdinary(range.source, uid)),
  )
  if (allowed.length === 0) refuse('PermissionDenied', { reason: whyNone(broker, uid) })
  const near = allowed.filter(range => isOfNode(range, input.node))
  if (near.length === 0) {
    const there = allowed.map(range => `'${range.name}' of ${nodeText(range)}`)
    invalid('node', `no range has memory of node ${input.node}; there are ${there.join(', ')}`)
  }
  const online = near.filter(range => !range.readOnly)
  if (online.length === 0) refuseReadOnly(near[0]!)
  return online
}

function refuseReadOnly({ name, reason }: Range): never {
  refuse('RangeReadOnly', { range: name, reason: reason! })
}

function isOfNode(range: Range, node: number | null | undefined): boolean {
  return node === null || node === undefined || (range.readable && range.source.node === node)
}

function nodeText({ readable, source }: Range): string {
  return readable && source.node !== undefined ? `node ${source.node}` : 'an unknown node'
}

function whyNone(broker: Broker, uid: number): string {
  for (const range of broker.inventory.ranges.values()) {
    const mayUse = range.readable && broker.policy.mayUse(uid, range.name)
    const reason = mayUse ? range.source.refusal?.(uid) : undefined
    if (reason !== undefined) return reason
  }
  return `uid ${uid} may use no range`
}

/** Whether the broker may give memory of this range to a uid that names no range. */
function isOrdinary(source: Source, uid: number): boolean {
  return !source.byNameOnly && source.refusal?.(uid) === undefined
}
