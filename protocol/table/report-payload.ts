import { type OutcomeRecord, type ReportRecord, type ResumePhases, reportId } from './entity'
import { RecordInvalid } from './errors'
import { nameBytesMax, reasonBytesMax } from './layout'
import { decodeText, type PayloadCodec, textBytes } from './payload'
import { utf8Bytes } from './text'

const outcomes = [null, 'underWay', 'cancelled', 'replaced'] as const
const times = [
  'begunMs',
  'deadlineMs',
  'readyMs',
  'frozenMs',
  'proceededMs',
  'cancelledMs',
  'kernelMs',
  'brokerMs',
  'servingMs',
] as const

export const reportPayload: PayloadCodec<ReportRecord> = {
  bytes(value) {
    return 32 + 8 * times.length + utf8Bytes(value.reason) + utf8Bytes(value.detail)
  },

  encode(writer, value) {
    const reasonBytes = textBytes(value.reason, reasonBytesMax)
    const detailBytes = textBytes(value.detail, reasonBytesMax)
    writer.u64(value.number)
    for (const time of times) writer.u64(value[time])
    writer.u32(value.uid)
    writer.u32(value.participants)
    writer.u32(value.ready)
    writer.code(value.outcome, outcomes)
    writer.zeros(7)
    writer.u16(reasonBytes)
    writer.u16(detailBytes)
    writer.text(value.reason)
    writer.text(value.detail)
  },

  decode(reader) {
    const number = reader.u64()
    const read = Object.fromEntries(times.map(time => [time, reader.u64()])) as Record<
      (typeof times)[number],
      number
    >
    const uid = reader.u32()
    const participants = reader.u32()
    const ready = reader.u32()
    const outcome = reader.code(outcomes)
    reader.zeros(7)
    const reasonBytes = reader.u16()
    const detailBytes = reader.u16()
    const reason = decodeText(reader, reasonBytes, reasonBytesMax)
    const detail = decodeText(reader, detailBytes, reasonBytesMax)
    return { id: reportId, number, outcome, uid, reason, detail, participants, ready, ...read }
  },
}

const states = [null, 'asked', 'ready', 'failed', 'late', 'left'] as const
const phases = ['pausedAt', 'savedAt', 'startedAt', 'claimedAt', 'loadedAt', 'runningAt'] as const
const flagAnswered = 1
const flagResumed = 2

export const outcomePayload: PayloadCodec<OutcomeRecord> = {
  bytes(value) {
    return 32 + 8 * phases.length + utf8Bytes(value.name) + utf8Bytes(value.detail)
  },

  encode(writer, value) {
    const nameBytes = textBytes(value.name, nameBytesMax)
    const detailBytes = textBytes(value.detail, reasonBytesMax)
    writer.u64(value.update)
    writer.u64(value.answeredAfterMs ?? 0)
    writer.u32(value.uid)
    writer.code(value.state, states)
    writer.u8((value.answeredAfterMs === null ? 0 : flagAnswered) | (value.resumed ? flagResumed : 0))
    writer.u16(nameBytes)
    writer.u16(detailBytes)
    writer.zeros(6)
    // Room for the report, which then needs no more.
    for (const phase of phases) writer.u64(value.resumed?.[phase] ?? 0)
    writer.text(value.name)
    writer.text(value.detail)
  },

  decode(reader, id) {
    const update = reader.u64()
    const answered = reader.u64()
    const uid = reader.u32()
    const state = reader.code(states)
    const flags = reader.u8()
    if (flags & ~(flagAnswered | flagResumed)) throw new RecordInvalid(`unknown flags ${flags} of an outcome`)
    const nameBytes = reader.u16()
    const detailBytes = reader.u16()
    reader.zeros(6)
    const read = Object.fromEntries(phases.map(phase => [phase, reader.u64()])) as unknown as ResumePhases
    const name = decodeText(reader, nameBytes, nameBytesMax)
    const detail = decodeText(reader, detailBytes, reasonBytesMax)
    const answeredAfterMs = flags & flagAnswered ? answered : null
    return {
      id,
      update,
      uid,
      name,
      state,
      answeredAfterMs,
      detail,
      resumed: flags & flagResumed ? read : null,
    }
  },
}
