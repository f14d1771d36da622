import { RecordInvalid } from './errors'

/** Little-endian fields into a buffer, which refuses values that would not read back equal. */
export class FieldWriter {
  constructor(
    readonly buffer: Buffer,
    public position = 0,
  ) {}

  u8(value: number): void {
    this.buffer[this.position] = checked(value, 0xff)
    this.position += 1
  }

  u16(value: number): void {
    this.position = this.buffer.writeUInt16LE(checked(value, 0xffff), this.position)
  }

  u32(value: number): void {
    this.position = this.buffer.writeUInt32LE(checked(value, 0xffffffff), this.position)
  }

  /** Up to 2^53-1, as two words: no BigInt on the way of a commit. */
  u64(value: number): void {
    checked(value, Number.MAX_SAFE_INTEGER)
    this.buffer.writeUInt32LE(value >>> 0, this.position)
    this.position = this.buffer.writeUInt32LE((value - (value >>> 0)) / 0x100000000, this.position + 4)
  }

  /** The name of a code, by its place in names. */
  code<T extends string>(value: T, names: readonly (T | null)[]): void {
    const code = names.indexOf(value)
    if (code < 0) throw new RecordInvalid(`${JSON.stringify(value)} is not one of ${names.join(', ')}`)
    this.u8(code)
  }

  text(value: string): void {
    this.position += this.buffer.write(value, this.position, 'utf8')
  }

  hex(value: string, bytes: number): void {
    if (value.length !== bytes * 2) throw new RecordInvalid(`expected ${bytes} bytes in hex`)
    if (this.buffer.write(value, this.position, 'hex') !== bytes) throw new RecordInvalid('not hexadecimal')
    this.position += bytes
  }

  zeros(bytes: number): void {
    this.buffer.fill(0, this.position, this.position + bytes)
    this.position += bytes
  }

  /** Zeros up to a multiple of 8 from start. */
  pad(start: number): void {
    this.zeros((8 - ((this.position - start) % 8)) % 8)
  }
}

function checked(value: number, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max)
    throw new RecordInvalid(`${value} is not in 0 .. ${max}`)
  return value
}
