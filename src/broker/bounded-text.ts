const ellipsis = '…'
const ellipsisBytes = Buffer.byteLength(ellipsis)

/**
 * A text that comes from outside, as it may be stored, logged and sent: well-formed, so that it has a UTF-8 form, and at
 * most bytesMax long in it. What is longer is cut after a whole character, and ends with an ellipsis.
 */
export function boundedText(text: string, bytesMax: number): string {
  const wellFormed = text.toWellFormed()
  if (Buffer.byteLength(wellFormed) <= bytesMax) return wellFormed
  const bytes = Buffer.from(wellFormed)
  let end = bytesMax - ellipsisBytes
  while (isContinuation(bytes[end]!)) end--
  return bytes.toString('utf8', 0, end) + ellipsis
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}
