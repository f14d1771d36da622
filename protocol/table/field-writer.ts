import { RecordInvalid } from './errors'
import { shortBytes, utf8Bytes } from './text'

/** Little-endian fields into a buffer, which refuses values that would not read back equal. */
export class FieldWriter {
  /** A third of the time of Buffer's own functions. */
  private readonly view: DataView

  constructor(
    readonly buffer: Buffer,
    public position = 0,
  ) {
    this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
  }

  u8(value: number): void {
    this.view.setUint8(this.position, checked(value, 0xff))
    this.position += 1
  }

  u16(value: number): void {
    this.view.setUint16(this.position, checked(value, 0xffff), true)
    this.position += 2
  }

  u32(value: number): void {
    this.view.setUint32(this.position, checked(value, 0xffffffff), true)
    this.position += 4
  }

  /** Up to 2^53-1, as two words: no BigInt on the way of a commit. */
  u64(value: number): void {
    const low = checked(value, Number.MAX_SAFE_INTEGER) >>> 0
    this.view.setUint32(this.position, low, true)
    this.view.setUint32(this.position + 4, (value - low) / 0x100000000, true)
    this.position += 8
  }

  bytes(value: Uint8Array): void {
    this.buffer.set(value, this.position)
    this.position += value.length
  }

  /** The name of a code, by its place in names. */
  code<T extends string>(value: T, names: readonly (T | null)[]): void {
    const code = names.indexOf(value)
    if (code < 0) throw new RecordInvalid(`${JSON.stringify(value)} is not one of ${names.join(', ')}`)
    this.u8(code)
  }

  text(value: string): void {
    const bytes = utf8Bytes(value)
    if (bytes > shortBytes || bytes !== value.length) this.buffer.write(value, this.position, 'utf8')
    else
      for (let index = 0; index < bytes; index++) this.buffer[this.position + index] = value.charCodeAt(index)
    this.position += bytes
  }

  hex(value: string, bytes: number): void {
    if (value.length !== bytes * 2) throw new RecordInvalid(`expected ${bytes} bytes in hex`)
    if (this.buffer.write(value, this.position, 'hex') !== bytes) throw new RecordInvalid('not hexadecimal')
    this.position += bytes
  }

  zeros(bytes: number): void {
    for (const end = this.position + bytes; this.position < end; this.position++)
      this.view.setUint8(this.position, 0)
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
