// The format that native/src/worker_main.cc reads.

const requestKind = {
  holders: 1,
  commands: 2,
  chmod: 3,
  chown: 4,
  truncate: 5,
  allocate: 6,
  punchHoles: 7,
  strip: 8,
  pages: 9,
  preserve: 10,
  sync: 11,
  populate: 12,
  close: 13,
} as const

type Field = { u32: number } | { u64: number | bigint } | { list: readonly Field[] }

export function encodeRequest(kind: keyof typeof requestKind, fields: readonly Field[]): Buffer {
  const body = Buffer.concat(fields.map(encode))
  const head = Buffer.alloc(8)
  head.writeUInt32LE(body.length, 0)
  head.writeUInt32LE(requestKind[kind], 4)
  return Buffer.concat([head, body])
}

export const u32 = (value: number): Field => ({ u32: value })
export const u64 = (value: number): Field => ({ u64: value })
/** Each item has several fields; count says how many items there are. */
export const list = (items: readonly (readonly Field[])[]): Field[] => [
  u32(items.length),
  { list: items.flat() },
]

function encode(field: Field): Buffer {
  if ('list' in field) return Buffer.concat(field.list.map(encode))
  if ('u32' in field) {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(field.u32)
    return bytes
  }
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(field.u64))
  return bytes
}
