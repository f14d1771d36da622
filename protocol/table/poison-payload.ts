import type { PoisonOrigin, PoisonRecord } from './entity'
import { checkExtent, type PayloadCodec } from './payload'

const payloadBytes = 24
const origins: readonly (PoisonOrigin | null)[] = [null, 'kernel', 'scrub', 'operator', 'owner']

export const poisonPayload: PayloadCodec<PoisonRecord> = {
  bytes: () => payloadBytes,

  encode(writer, value) {
    writer.u64(value.length)
    writer.u64(value.seenAtMs)
    writer.code(value.origin, origins)
    writer.zeros(7)
  },

  decode(reader, id, context) {
    const length = reader.u64()
    const seenAtMs = reader.u64()
    const origin = reader.code(origins)
    reader.zeros(7)
    checkExtent(id, length, context.rangeBytes)
    return { id, length, seenAtMs, origin }
  },
}
