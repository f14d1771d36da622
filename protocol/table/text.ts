/** Up to this length a loop is faster than a call of Node's own functions. */
export const shortBytes = 48

/** Bytes of a text in UTF-8. */
export function utf8Bytes(text: string): number {
  if (text.length > shortBytes) return Buffer.byteLength(text)
  for (let index = 0; index < text.length; index++)
    if (text.charCodeAt(index) > 0x7f) return Buffer.byteLength(text)
  return text.length
}

export function isShortAscii(bytes: Buffer, from: number, to: number): boolean {
  if (to - from > shortBytes) return false
  for (let at = from; at < to; at++) if (bytes[at]! > 0x7f) return false
  return true
}
