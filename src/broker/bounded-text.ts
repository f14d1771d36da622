const ellipsis = '…'
const ellipsisBytes = Buffer.byteLength(ellipsis)

/**
 * A text from outside, in a form that the broker may store, log and send: well-formed, so that it has a UTF-8 form,
 * and there at most bytesMax long. A longer text ends after a whole character, with an ellipsis.
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
