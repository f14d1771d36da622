/** CRC32C (Castagnoli) of bytes, continuing from initial (0 at first): the shape of the addon's own, faster one. */
export type Crc32c = (bytes: Uint8Array, initial: number) => number

const polynomialReversed = 0x82f63b78
const slices = 8

/** Eight tables of 256: table k advances a byte over k further zero bytes, so eight bytes cost eight look-ups. */
const tables = makeTables()

function makeTables(): Uint32Array {
  const made = new Uint32Array(slices * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomialReversed : crc >>> 1
    made[byte] = crc
  }
  for (let index = 256; index < made.length; index++) {
    const previous = made[index - 256]!
    made[index] = (previous >>> 8) ^ made[previous & 0xff]!
  }
  return made
}

/** The portable implementation; every function of this folder takes a faster one in its place. */
export function crc32c(bytes: Uint8Array, initial: number, from = 0, to = bytes.length): number {
  const t = tables
  let crc = ~initial
  let at = from
  for (const end = to - 7; at < end; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
    crc =
      t[0x700 + (low & 0xff)]! ^
      t[0x600 + ((low >>> 8) & 0xff)]! ^
      t[0x500 + ((low >>> 16) & 0xff)]! ^
      t[0x400 + (low >>> 24)]! ^
      t[0x300 + bytes[at + 4]!]! ^
      t[0x200 + bytes[at + 5]!]! ^
      t[0x100 + bytes[at + 6]!]! ^
      t[bytes[at + 7]!]!
  }
  for (; at < to; at++) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]!) & 0xff]!
  return ~crc >>> 0
}
