import { native } from '../../../native'
import { type RangeIdentity, TableUnreadable } from '../../../protocol/table'
import { ExtentAllocator, ExtentConflict } from '../allocator/extent-allocator'
import type { Broker } from '../broker'
import type { RangeSettings } from '../config/settings'
import { guarded, isEnvironment } from '../failure'
import type { Holder, ProcessIdentity } from '../lease/process'
import { Refusal } from '../refusal'
import { openerOf } from '../source/openers'
import type { OpenedSource, Source, SourceHost } from '../source/source'
import type { Allocation } from '../state/allocation'
import { memoryOf, memoryOfRetired, Range, type RangeOptions, type Recovery } from '../state/range'
import { RecordBytes } from '../state/record-bytes'
import { addFinding, newRecoveryReport, type RecoveryReport } from '../state/recovery-report'
import { formatTable, Table } from '../table'
import { collectGarbage } from './collect-garbage'
import { retireUnscrubbed } from './retire-unscrubbed'
import { Stopwatch } from './stopwatch'

/** From here on what a start leaves behind is tens of megabytes. */
const manyAllocations = 50_000

/**
 * Opens every configured range and recovers it from its table. In the same boot, processes may still run on their memory:
 * they go on holding it. In another boot nobody holds anything, and everything waits to be claimed. A range that can't be
 * trusted is read-only, with a reason; the others work.
 */
export async function recover(broker: Broker): Promise<void> {
  const { ranges } = broker.settings
  const held: Allocation[] = []
  broker.service?.recovering()
  for (const [index, settings] of ranges.entries()) {
    broker.service?.status(`recovering range ${settings.name}, ${index + 1} of ${ranges.length}`)
    const took = new Stopwatch()
    const range = await openRange(broker, settings, took)
    for (const allocation of broker.inventory.addRange(range)) held.push(allocation)
    range.report.tookMs = Math.round(took.totalMs)
    if (range.reason !== undefined) {
      addFinding(range.report, range.reason)
      broker.log.error({ range: range.name, reason: range.reason }, 'range is read-only')
    } else
      broker.log.info(
        { range: range.name, recovery: range.recovery, ...summary(range), tookMs: took },
        'range is online',
      )
  }
  if ([...broker.inventory.ranges.values()].some(range => !range.readable))
    broker.inventory.leapIds(Date.now())
  // A broker that formats opens one range only: retired memory could get an id that another range has.
  if (!ranges.some(({ format }) => format))
    for (const range of broker.inventory.ranges.values()) retireUnscrubbed(broker, range)
  resumeLeases(broker, held)
  await broker.updates.recover()
  if (broker.frozen === undefined) broker.frozenMemory.release()
  else
    await broker.frozenMemory.preserve().catch(error => {
      if (!(error instanceof Refusal)) throw error
      broker.log.error({ reason: error.message }, 'frozen memory can not be preserved')
    })
  for (const range of broker.service?.fdStore?.untakenRanges() ?? [])
    broker.log.warn(
      { range },
      'the fd store has memfds of a range that the configuration does not have; they stay',
    )
  for (const allocation of broker.inventory.byId.values()) {
    allocation.unclaimed = !allocation.holder
    if (allocation.unclaimed) allocation.range.report.unclaimed += 1
  }
  if (broker.inventory.byId.size >= manyAllocations) collectGarbage()
}

async function openRange(broker: Broker, settings: RangeSettings, took: Stopwatch): Promise<Range> {
  const startup = newRecoveryReport()
  const options: Omit<RangeOptions, 'recovery'> = {
    name: settings.name,
    configured: { kind: settings.source, bytes: settings.bytes },
    report: startup,
    onReadOnly: ({ name }, reason) => broker.events.emit({ kind: 'range', range: name, detail: reason }),
    standing: uid => broker.policy.standing(uid),
  }
  const unusable = (readOnlyReason: string) =>
    new Range({ ...options, recovery: 'unreadable', readOnlyReason })

  let opened: OpenedSource
  try {
    opened = await openerOf(settings.source)(settings, sourceHost(broker, settings, startup))
  } catch (error) {
    return unusable(explain(broker, error))
  }
  took.lap('source')
  const { source } = opened
  const giveUp = (reason: string) => {
    opened.medium.close()
    source.close()
    return unusable(reason)
  }
  try {
    const { table, recovery } = await openTable(broker, opened)
    Object.assign(startup, found(table, opened.fresh))
    const problem = conflict(broker, table)
    if (problem) return giveUp(problem)
    const { bytes, unitBytes: unit, base = 0, tableBytes = 0 } = source
    const used = tableBytes > 0 ? [{ offset: 0, length: tableBytes }] : []
    const recordBytes = new RecordBytes(table.state, record => {
      if ('extents' in record) used.push(...record.extents)
    })
    const allocator = new ExtentAllocator({ bytes, unit, base, used })
    const parts = {
      source,
      table,
      allocator,
      medium: opened.medium,
      recordBytes,
    }
    const range = new Range({ ...options, recovery, parts })
    for (const detail of table.diagnostics) {
      addFinding(startup, `the table was repaired: ${detail}`)
      broker.log.warn({ range: range.name, detail }, 'the table was repaired')
    }
    range.withhold([{ offset: 0, length: bytes }])
    took.lap('table')
    await reconcile(broker, range)
    took.lap('memory')
    return range
  } catch (error) {
    if (error instanceof TableUnreadable) return giveUp(adviceFor(error, source, settings.name))
    return giveUp(explain(broker, error))
  }
}

/** A range that fails to open keeps no other from opening. An unexpected error goes to the log whole. */
function explain(broker: Broker, error: unknown): string {
  if (!isEnvironment(error) && !(error instanceof ExtentConflict))
    broker.log.error({ err: error }, 'opening a range failed')
  return (error as Error).message
}

/** Advises to format, for memory that was never formatted or lost its content in a cold boot. */
function adviceFor({ code, message }: TableUnreadable, source: Source, range: string): string {
  // A table of another range, or of a newer broker, must not be lost.
  const foreign = ['IdentityMismatch', 'UnsupportedVersion', 'UnsupportedFeature'].includes(code)
  return source.startsDirty && !foreign
    ? `${message}; if nobody needs its contents, 'membrokerd --config FILE --format ${range}' makes an empty table`
    : message
}

/** The records of a source's memory, and what the broker does when a holder has changed that memory. */
function sourceHost(
  broker: Broker,
  { name, source: kind }: RangeSettings,
  report: RecoveryReport,
): SourceHost {
  const { inventory } = broker
  let searching = false
  // While the broker ends memory, the broker itself resizes it.
  const isChanging = (id: number) => {
    const allocation = inventory.byId.get(id)
    return allocation ? allocation.busy !== undefined : inventory.retiredAs(id)?.scrubbing !== undefined
  }
  return {
    bases: broker.settings.ranges.flatMap(({ source, base }) =>
      source === kind && base !== undefined ? [base] : [],
    ),
    files: broker.fileWork,
    fdStore: broker.service?.fdStore,
    unavailable: ({ id }, reason) =>
      broker.log.error({ range: name, id, reason }, 'the memory of an allocation is not available'),
    discarded: ids => {
      const some = `${ids.slice(0, 8).join(', ')}${ids.length > 8 ? ' and others' : ''}`
      addFinding(
        report,
        `freed memory that the kernel before had preserved for allocations that the table does not have (${some}): ` +
          'no client was ever granted it',
      )
      broker.log.warn({ range: name, ids }, 'freed preserved memory of allocations that were never granted')
    },
    limited: reason => {
      if (reason === undefined) broker.log.info({ range: name }, 'the range is not limited any more')
      else broker.log.warn({ range: name, reason }, 'the range is limited on this host')
      if (reason !== undefined && !inventory.ranges.has(name)) addFinding(report, reason)
    },
    guarded: (what, work) => guarded(broker.log, what, work),
    scan: file => broker.scan.find(`range ${name}`, file),
    openBy: uid => broker.policy.openBy(uid),
    anybodyOpensByPath: () => broker.policy.anybodyOpensByPath,
    broken: reason => inventory.ranges.get(name)?.becomeReadOnly(reason),
    expected: id => {
      if (isChanging(id)) return undefined
      const allocation = inventory.byId.get(id)
      if (allocation) return memoryOf(allocation.record)
      const retired = inventory.retiredAs(id)
      return retired && memoryOfRetired(retired.record)
    },
    left: ({ id, uid }, names, failure) =>
      broker.log.warn(
        { id, uid, names, ...(failure !== undefined && { err: failure }) },
        failure === undefined
          ? 'an owner has left further names of a file; they lead to an empty file without its attributes'
          : 'an owner has left further names of a file; they lead to an empty file, its attributes can not be removed',
      ),
    tampered: ({ id, uid, bytes: expectedBytes }, bytes, notYet) => {
      const allocation = inventory.byId.get(id)
      const range = allocation?.range ?? inventory.retiredAs(id)?.range
      if (!range) return
      if (allocation && bytes < expectedBytes && allocation.record.verdict !== 'changed')
        markChanged(broker, allocation)
      // One search for the culprit at a time: a process that resizes files in a loop is named soon enough.
      if (searching) return
      searching = true
      const logFailure = (err: unknown) =>
        broker.log.error({ err, id }, 'the broker could not find out which process tampered')
      broker.revoker
        .look({ id, range, uid })
        .then(proof => {
          const who = proof.kind === 'held' ? proof.pids.join(', ') : 'a process that is gone'
          const what =
            bytes === expectedBytes
              ? 'memory kept beyond its end'
              : `resized from ${expectedBytes} to ${bytes} bytes`
          const repaired = notYet === undefined ? 'put back' : `not put back yet (${notYet})`
          const detail = `${what}, ${repaired}; held by ${who}`
          broker.log.warn(
            { allocation: allocation?.name, id, detail },
            'a holder has tampered with its memory',
          )
          if (allocation) broker.changed('tampered', allocation, { bytes, detail })
        }, logFailure)
        .finally(() => {
          searching = false
        })
    },
  }
}

/** The bytes that a holder cut off are zero now. */
function markChanged(broker: Broker, allocation: Allocation): void {
  try {
    broker.inventory.changeAllocation(allocation, { verdict: 'changed' })
    broker.changed('changed', allocation, { detail: 'verdict' })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    broker.log.error(
      { allocation: allocation.name, reason: error.message },
      'its verdict could not be recorded',
    )
  }
}

async function openTable(
  broker: Broker,
  opened: OpenedSource,
): Promise<{ table: Table; recovery: Recovery }> {
  const { source, medium, fresh } = opened
  const { bootId } = broker
  const identity: RangeIdentity = {
    source: source.kind,
    base: source.base ?? 0,
    bytes: source.bytes,
    alignBytes: source.unitBytes,
  }
  const { crc32c } = native
  if (fresh) {
    const uuid = crypto.randomUUID().replaceAll('-', '')
    formatTable(medium, identity, { uuid, bootId, tableBytes: medium.bytes, crc32c })
  }
  const table = Table.open(medium, { identity, bootId, crc32c })
  if (fresh) await opened.keepTable()
  return { table, recovery: fresh ? 'fresh' : table.sameBoot ? 'sameBoot' : 'newBoot' }
}

function found(table: Table, fresh: boolean): Partial<RecoveryReport> {
  const { previousBootId, checkpoint, replayed, epoch, sequence, state } = table
  const { size: allocations } = state.allocations
  if (fresh) return { epoch, sequence, allocations }
  return { previousBootId, checkpoint, replayed, epoch, sequence, allocations }
}

/** Two ranges from two brokers may have the same names and ids. The broker changes neither; the second stays read-only. */
function conflict(broker: Broker, table: Table): string | undefined {
  const { inventory } = broker
  const allocations = inventory.byId.size > 0 ? table.state.allocations.values() : []
  for (const { id, name } of allocations) {
    const other = inventory.byName.get(name) ?? inventory.byId.get(id)
    if (other)
      return `its allocation '${name}' (${id}) conflicts with '${other.name}' (${other.id}) of range '${other.range.name}'`
  }
  for (const { id, allocationId } of table.state.mappings.values())
    if (!table.state.allocations.has(allocationId))
      return `its mapping ${id} is of an allocation (${allocationId}) that it does not have`
  for (const id of table.state.mappings.keys())
    if (inventory.mappings.has(id)) return `its mapping ${id} conflicts with one of another range`
  for (const id of table.state.retired.keys())
    if (inventory.retired.has(id)) return `its retired memory ${id} conflicts with that of another range`
  return undefined
}

/** Makes memory and table agree: removes leftovers of a crash; a range without any of its memory is read-only. */
async function reconcile(broker: Broker, range: Range): Promise<void> {
  const { table, source } = range
  await source.recover?.(
    { [Symbol.iterator]: () => table.state.allocations.values() },
    [...table.state.retired.values()].map(memoryOfRetired),
    range.recovery === 'newBoot',
    Math.max(table.nextId('allocation'), broker.inventory.nextId('allocation')) - 1,
  )
  const present = new Set(source.present())
  const missing = [...table.state.allocations.keys()].filter(id => !present.has(id))
  if (missing.length > 0) {
    const nameOf = (id: number) => table.state.allocations.get(id)!.name
    const names = missing.slice(0, 3).map(id => `'${nameOf(id)}' (alloc-${id})`)
    const more = missing.length > 3 ? ` and ${missing.length - 3} more` : ''
    const text = `the memory of ${names.join(', ')}${more} is missing`
    // All missing: this is the wrong memory, so the range is read-only, and nothing in it is removed.
    if (missing.length === table.state.allocations.size) return range.becomeReadOnly(text)
    // Some missing: the rest stays online.
    addFinding(range.report, `${text}; unless a later start finds it, it can only be released`)
    broker.log.error({ range: range.name }, `${text}; unless a later start finds it, it can only be released`)
  }
  const retired = new Set([...table.state.retired.values()].map(record => record.allocationId))
  for (const id of present) {
    if (table.state.allocations.has(id) || retired.has(id)) continue
    addFinding(range.report, `removed memory of allocation ${id}, which the table does not have`)
    broker.log.warn(
      { range: range.name, id },
      'removing memory of an allocation that the table does not have',
    )
    await source.destroy({ id, name: '', uid: 0, bytes: 0, extents: [] })
  }
}

/**
 * Holders of this boot that still live keep what they hold. The table drops the holders of another boot. held: the allocations
 * whose records name processes.
 */
function resumeLeases(broker: Broker, held: readonly Allocation[]): void {
  const { inventory, leases } = broker
  /** A process that is gone is looked for once, however much it held. */
  const gone = new Set<string>()
  const hold = (identity: ProcessIdentity, uid: number): Holder | undefined => {
    const process = `${identity.pid} ${identity.start}`
    if (gone.has(process)) return undefined
    const holder = leases.hold(identity, uid)
    if (!holder) gone.add(process)
    return holder
  }
  const handedOver = new Set<Allocation>()
  for (const allocation of held) {
    const { holder, successor, uid } = allocation.record
    if (holder) inventory.setHolder(allocation, hold(holder, uid))
    if (!successor) continue
    inventory.setSuccessor(allocation, hold(successor, uid))
    handedOver.add(allocation)
  }
  for (const mapping of inventory.mappings.values()) {
    const { holder, replaces, uid } = mapping.record
    if (holder) inventory.setMappingHolder(mapping, hold(holder, uid))
    if (replaces !== null) handedOver.add(mapping.allocation)
  }
  for (const allocation of handedOver) broker.resumeHandOver(allocation)
  broker.quarantine.checkSoon()
}

function summary(range: Range) {
  const { state, epoch, sequence } = range.table
  return {
    source: range.source.kind,
    bytes: range.source.bytes,
    allocations: state.allocations.size,
    mappings: state.mappings.size,
    retired: state.retired.size,
    epoch,
    sequence,
  }
}
