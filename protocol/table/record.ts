import { roundUp } from '../units'
import { allocationPayload, checkAllocation } from './allocation-payload'
import { controlPayload } from './control-payload'
import {
  type AllocationRecord,
  type Change,
  type ControlRecord,
  countedKinds,
  type Entity,
  type EntityKind,
  type FreezeRecord,
  freezeId,
  type IdsUsed,
  type MappingRecord,
  sameValue,
  updateId,
} from './entity'
import { RecordInvalid } from './errors'
import type { FieldReader } from './field-reader'
import type { FieldWriter } from './field-writer'
import { mappingPayload } from './mapping-payload'
import type { PayloadCodec, RecordContext } from './payload'
import { poisonPayload } from './poison-payload'
import { retiredPayload } from './retired-payload'
import { featureReport, featureSuccessor, featureUpdate } from './superblock'

/** op u8, kind u8, zero u16, payload length u32, key u64; the payload follows, padded to 8 with zeros. */
export const recordHeaderBytes = 16
const payloadLengthOffset = 4
const keyOffset = 8

export const opPut = 1
const opDelete = 2

const kinds: readonly (EntityKind | null)[] = [null, 'allocation', 'mapping', 'retired', 'poison', 'control']
const controlKind = kinds.indexOf('control')
const allocationKind = kinds.indexOf('allocation')

/** Control record of a checkpoint that keeps the highest ids used, so that none is used again. */
const idsUsedKey = 1
const idsUsedPayloadBytes = 24
export const idsUsedBytes = recordHeaderBytes + idsUsedPayloadBytes

const codecs: { readonly [K in EntityKind]: PayloadCodec<Entity> } = {
  allocation: allocationPayload as PayloadCodec<Entity>,
  mapping: mappingPayload as PayloadCodec<Entity>,
  retired: retiredPayload as PayloadCodec<Entity>,
  poison: poisonPayload as PayloadCodec<Entity>,
  control: controlPayload as PayloadCodec<Entity>,
}

/** Bytes of an entity's record, which it takes of the table's capacity and of a journal entry. */
export function entityBytes(kind: EntityKind, value: Entity): number {
  return recordHeaderBytes + padded(codecs[kind].bytes(value))
}

export function changeBytes(change: Change): number {
  return 'delete' in change ? recordHeaderBytes : entityBytes(change.put, change.value)
}

/** Incompatible features that a reader must know before it meets this entity. */
export function featuresOf(kind: EntityKind, value: Entity): number {
  if (kind === 'control') return featureOfControl(value as ControlRecord)
  if (kind === 'allocation') return (value as AllocationRecord).successor === null ? 0 : featureSuccessor
  if (kind === 'mapping') return (value as MappingRecord).replaces === null ? 0 : featureSuccessor
  return 0
}

function featureOfControl(value: ControlRecord): number {
  if (value.id === updateId) return featureUpdate
  if (value.id === freezeId) return (value as FreezeRecord).update === null ? 0 : featureUpdate
  return featureReport
}

/** Whether all of the next record is there. */
export function hasRecord(reader: FieldReader): boolean {
  const { remaining } = reader
  return remaining >= recordHeaderBytes && remaining >= encodedBytes(reader, reader.position)
}

/** Bytes of the record that begins there. */
export function encodedBytes({ view }: FieldReader, at: number): number {
  return recordHeaderBytes + padded(view.getUint32(at + payloadLengthOffset, true))
}

export function encodedKey({ view }: FieldReader, at: number): number {
  return view.getUint32(at + keyOffset, true) + view.getUint32(at + keyOffset + 4, true) * 0x100000000
}

/** The buffer must have changeBytes() left. Throws RecordInvalid. */
export function encodeChange(writer: FieldWriter, change: Change, context: RecordContext): void {
  if ('delete' in change) {
    encodeHeader(writer, opDelete, kinds.indexOf(change.delete), 0, change.key)
    return
  }
  encodeHeader(writer, opPut, kinds.indexOf(change.put), 0, change.value.id)
  const start = writer.position
  codecs[change.put].encode(writer, change.value, context)
  const end = writer.position
  writer.position = start - recordHeaderBytes + payloadLengthOffset
  writer.u32(end - start)
  writer.position = end
  writer.pad(start)
}

/**
 * Reads one record. A put that is void in this boot comes back as a delete: it must still end an older value.
 * Throws RecordInvalid.
 */
export function decodeChange(reader: FieldReader, context: RecordContext): Change {
  const header = decodeHeader(reader)
  const kind = kinds[header.kind]
  if (kind == null) throw new RecordInvalid(`unknown kind ${header.kind}`)
  if (header.op === opDelete) {
    if (header.payloadBytes !== 0) throw new RecordInvalid('a delete with a payload')
    return { delete: kind, key: header.key }
  }
  const start = reader.position
  const end = enterPayload(reader, header.payloadBytes)
  const value = codecs[kind].decode(reader, header.key, context)
  leavePayload(reader, start, end)
  return value === undefined ? { delete: kind, key: header.key } : ({ put: kind, value } as Change)
}

/**
 * Reads the record as decodeChange() does, with each of its checks, if it puts an allocation and its bytes can stay as they are: then
 * it returns the id. Otherwise it returns undefined, and the record is still to be read. Throws RecordInvalid.
 */
export function passAllocation(reader: FieldReader, context: RecordContext): number | undefined {
  const start = reader.position
  if (reader.buffer[start] !== opPut || reader.buffer[start + 1] !== allocationKind) return undefined
  const { payloadBytes, key } = decodeHeader(reader)
  const payload = reader.position
  const end = enterPayload(reader, payloadBytes)
  const stays = checkAllocation(reader, context)
  leavePayload(reader, payload, end)
  if (stays) return key
  reader.position = start
  return undefined
}

/** Whether two changes are the same in every field. */
export function sameChange(a: Change, b: Change): boolean {
  if (!('put' in a && 'put' in b && a.put === b.put)) return sameValue(a, b)
  const { same = sameValue } = codecs[a.put]
  return same(a.value, b.value)
}

export function encodeIdsUsed(writer: FieldWriter, used: Readonly<IdsUsed>): void {
  encodeHeader(writer, opPut, controlKind, idsUsedPayloadBytes, idsUsedKey)
  for (const kind of countedKinds) writer.u64(used[kind])
}

/** Undefined when another record is next. */
export function decodeIdsUsed(reader: FieldReader): IdsUsed | undefined {
  const start = reader.position
  if (reader.buffer[start + 1] !== controlKind) return undefined
  const header = decodeHeader(reader)
  if (header.op !== opPut || header.key !== idsUsedKey) {
    reader.position = start
    return undefined
  }
  const payload = reader.position
  const end = enterPayload(reader, header.payloadBytes)
  const used: IdsUsed = { allocation: 0, mapping: 0, retired: 0 }
  for (const kind of countedKinds) used[kind] = reader.u64()
  leavePayload(reader, payload, end)
  return used
}

function encodeHeader(
  writer: FieldWriter,
  op: number,
  kind: number,
  payloadBytes: number,
  key: number,
): void {
  writer.u8(op)
  writer.u8(kind)
  writer.u16(0)
  writer.u32(payloadBytes)
  writer.u64(key)
}

function decodeHeader(reader: FieldReader): { op: number; kind: number; payloadBytes: number; key: number } {
  const op = reader.u8()
  if (op !== opPut && op !== opDelete) throw new RecordInvalid(`unknown operation ${op}`)
  const kind = reader.u8()
  reader.zeros(2)
  return { op, kind, payloadBytes: reader.u32(), key: reader.u64() }
}

/** Bounds the reader to a payload. Returns its former end, for leavePayload(). */
function enterPayload(reader: FieldReader, bytes: number): number {
  if (bytes > reader.remaining) throw new RecordInvalid(`payload of ${bytes} bytes, ${reader.remaining} left`)
  const { end } = reader
  reader.end = reader.position + bytes
  return end
}

/** start: of the payload, all of which must have been read. */
function leavePayload(reader: FieldReader, start: number, end: number): void {
  if (reader.remaining !== 0) throw new RecordInvalid(`${reader.remaining} bytes left over in a payload`)
  reader.end = end
  reader.pad(start)
}

function padded(bytes: number): number {
  return roundUp(bytes, 8)
}
