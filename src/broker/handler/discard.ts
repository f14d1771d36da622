import type { DiscardIn, DiscardOut, Piece } from '../../../protocol/generated/broker'
import { discardPiecesMax } from '../../../protocol/wire/limits'
import { bytesOf, inOrder } from '../allocator/extents'
import type { Broker } from '../broker'
import { refuse } from '../refusal'
import type { Session } from '../session/session'
import type { Allocation } from '../state/allocation'
import { memoryOf } from '../state/range'
import { makeMemory } from './allocate'
import { invalid } from './arguments'
import { checkIdle, checkNoHandOver, checkOwner, findVisible } from './authorize'

/** The table does not change: the allocation keeps its bytes, and the range gives them to nobody else. */
export async function discard(broker: Broker, session: Session, input: DiscardIn): Promise<DiscardOut> {
  const allocation = findVisible(broker.inventory, session, input.name)
  checkIdle(allocation)
  const { range, record } = allocation
  const { source } = range
  const pieces = inOrder([...input.pieces])
  checkPieces(pieces, record.bytes, source.capabilities.pageBytes)
  checkMayWrite(session, allocation, pieces, input.secret)
  checkNoHandOver(allocation)
  if (range.reason !== undefined) refuse('RangeReadOnly', { range: range.name, reason: range.reason })
  const { discard } = source
  if (!discard || !source.capabilities.discard)
    refuse('SourceFailed', {
      range: range.name,
      operation: 'discard',
      code: 'EOPNOTSUPP',
      reason: `memory of range '${range.name}' has no pages that the host could get back; write zeros to clear it`,
    })
  await broker.contents.discard(allocation, async () => {
    if (record.digest !== null) broker.inventory.changeAllocation(allocation, { digest: null })
    await makeMemory(range, 'discard', () => discard.call(source, memoryOf(record), pieces))
  })
  broker.changed('discarded', allocation, { pid: session.peer.pid, bytes: bytesOf(pieces) })
  return { residentBytes: source.residentBytes?.(record.id) ?? 0 }
}

/** They are in order. */
function checkPieces(pieces: readonly Piece[], bytes: number, pageBytes: number): void {
  if (pieces.length < 1 || pieces.length > discardPiecesMax)
    invalid('pieces', `1 to ${discardPiecesMax} pieces are possible`)
  let end = 0
  for (const { offset, length } of pieces) {
    if (offset < 0 || length <= 0 || offset % pageBytes !== 0 || length % pageBytes !== 0)
      invalid(
        'pieces',
        `offsets and lengths are multiples of ${pageBytes}, and lengths are greater than zero`,
      )
    if (length > bytes - offset) invalid('pieces', `a piece ends inside the allocation of ${bytes} bytes`)
    if (offset < end) invalid('pieces', 'pieces do not overlap')
    end = offset + length
  }
}

/** Who may write to the pieces may discard them: the process with the claim, and one with mappings of them for writing. */
function checkMayWrite(
  session: Session,
  allocation: Allocation,
  pieces: readonly Piece[],
  secret: string | null | undefined,
): void {
  const { record, holder, mappings } = allocation
  if (holder && holder === session.holder) return
  const own = [...mappings.values()]
    .filter(({ state, holder }) => state === 'held' && holder !== undefined && holder === session.holder)
    .filter(mapping => mapping.record.access === 'readWrite')
  const covers = ({ offset, length }: Piece) =>
    own.some(
      mapping =>
        mapping.record.offset <= offset && offset + length <= mapping.record.offset + mapping.record.length,
    )
  if (pieces.every(covers)) return
  if (session.uid !== record.uid)
    refuse('PermissionDenied', {
      reason: `your process has no mapping of '${record.name}' for writing that covers all pieces`,
    })
  checkOwner(session, allocation, secret)
  if (holder) refuse('AlreadyClaimed', { name: record.name, pid: holder.pid })
  refuse('NotClaimed', { name: record.name })
}
