/** Proves that the table is what plain Maps are, through any sequence of commits and take-overs. */
import fc from 'fast-check'
import {
  type AllocationRecord,
  type Change,
  type ControlRecord,
  type Entity,
  freezeId,
  isCounted,
  type MappingRecord,
  type PoisonRecord,
  type RetiredRecord,
  readTable,
  updateId,
} from '../../protocol/table'
import { formatTable, Table } from '../../src/broker/table'
import { BufferMedium } from './support/buffer-medium'
import {
  bootA,
  bootB,
  inAnotherBoot,
  randomFrom,
  randomTransaction,
  sampleIdentity,
  smallTable,
  snapshot,
} from './support/sample'

const { tableBytes } = smallTable

class Real {
  readonly medium = new BufferMedium(Buffer.alloc(tableBytes))
  bootId = bootA
  table: Table
  full = 0

  constructor() {
    formatTable(this.medium, sampleIdentity, smallTable)
    this.table = this.open()
  }

  open(): Table {
    return Table.open(this.medium, { bootId: this.bootId, identity: sampleIdentity })
  }
}

class PlainMaps {
  readonly allocations = new Map<number, AllocationRecord>()
  readonly mappings = new Map<number, MappingRecord>()
  readonly retired = new Map<number, RetiredRecord>()
  readonly poison = new Map<number, PoisonRecord>()
  readonly control = new Map<number, ControlRecord>()
  readonly idsUsed = { allocation: 0, mapping: 0, retired: 0 }

  apply(change: Change): void {
    const [kind, id] = 'delete' in change ? [change.delete, change.key] : [change.put, change.value.id]
    const { allocations: allocation, mappings: mapping, retired, poison, control } = this
    const entities = { allocation, mapping, retired, poison, control }[kind] as Map<number, Entity>
    if ('delete' in change) entities.delete(id)
    else entities.set(id, change.value)
    if (isCounted(kind)) this.idsUsed[kind] = Math.max(this.idsUsed[kind], id)
  }
}

/** What a new boot does to them too. */
interface Model {
  state: PlainMaps
  sequence: number
}

class Commit implements fc.Command<Model, Real> {
  constructor(readonly seed: number) {}
  check = () => true
  run(model: Model, real: Real): void {
    const changes = randomTransaction(
      model.state,
      kind => model.state.idsUsed[kind] + 1,
      randomFrom(this.seed),
    )
    const before = snapshot(real.table.state)
    try {
      real.table.commit(changes)
    } catch (error) {
      expect(error).toMatchObject({ code: 'TableFull' })
      expect(snapshot(real.table.state)).toBe(before)
      real.full += 1
      return
    }
    for (const change of changes) model.state.apply(structuredClone(change) as Change)
    model.sequence += 1
    expect(real.table.sequence).toBe(model.sequence)
    expect(real.table.stateBytes).toBeLessThanOrEqual(real.table.stateBytesMax)
  }
  toString = () => `commit(${this.seed})`
}

class Reopen implements fc.Command<Model, Real> {
  constructor(readonly bootId: string) {}
  check = () => true
  run(model: Model, real: Real): void {
    const { epoch, stateBytes } = real.table
    const previousBootId = real.bootId
    real.bootId = this.bootId
    real.table = real.open()
    expect([real.table.epoch, real.table.previousBootId, real.table.sequence]).toEqual([
      epoch + 1,
      previousBootId,
      model.sequence,
    ])
    if (real.table.sameBoot) expect(real.table.stateBytes).toBe(stateBytes)
    expect(real.table.sameBoot).toBe(previousBootId === this.bootId)
    if (!real.table.sameBoot) forgetBoot(model.state)
    for (const kind of ['allocation', 'mapping', 'retired'] as const) {
      expect(real.table.nextId(kind)).toBe(model.state.idsUsed[kind] + 1)
    }
  }
  toString = () => `reopen(${this.bootId[0]})`
}

function forgetBoot(state: PlainMaps): void {
  for (const [id, value] of state.allocations) state.allocations.set(id, inAnotherBoot(value))
  for (const [id, value] of state.mappings)
    if (value.replaces === null) state.mappings.set(id, inAnotherBoot(value))
    else state.mappings.delete(id)
  for (const id of [freezeId, updateId]) state.control.delete(id)
}

class Compare implements fc.Command<Model, Real> {
  check = () => true
  run(model: Model, real: Real): void {
    const image = readTable(real.medium.buffer)
    expect(snapshot(real.table.state)).toBe(snapshot(model.state))
    expect(snapshot(image.state)).toBe(snapshot(model.state))
    expect(image.sequence).toBe(model.sequence)
    expect(image.diagnostics).toEqual([])
  }
  toString = () => 'compare'
}

test('through any sequence of commits and take-overs, table and dump are what plain Maps are', () => {
  const commit = fc.integer({ min: 1, max: 2 ** 31 }).map(seed => new Commit(seed))
  const commands = [
    commit,
    commit,
    commit,
    commit,
    fc.constantFrom(bootA, bootB).map(bootId => new Reopen(bootId)),
    fc.constant(new Compare()),
  ]
  let sequences = 0
  fc.assert(
    fc.property(fc.commands(commands, { maxCommands: 400, size: 'max' }), commands => {
      const real = new Real()
      const model = { state: new PlainMaps(), sequence: 0 }
      fc.modelRun(() => ({ model, real }), commands)
      new Compare().run(model, real)
      sequences = Math.max(sequences, model.sequence)
    }),
    { numRuns: 40 },
  )
  expect(sequences).toBeGreaterThan(100)
})
