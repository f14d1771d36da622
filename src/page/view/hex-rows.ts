const rowBytes = 16

/** A hex dump: offset, bytes, and the characters that can be shown. */
export function hexRows(data: Uint8Array, offset: number): string[] {
  const digits = Math.max(8, (offset + data.length).toString(16).length)
  const rows: string[] = []
  for (let at = 0; at < data.length; at += rowBytes) {
    const bytes = [...data.subarray(at, at + rowBytes)]
    const hex = bytes.map(byte => byte.toString(16).padStart(2, '0'))
    const halves = [hex.slice(0, 8).join(' '), hex.slice(8).join(' ')].join('  ').padEnd(3 * rowBytes)
    const text = bytes.map(byte => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    rows.push(`${(offset + at).toString(16).padStart(digits, '0')}  ${halves}  ${text}`)
  }
  return rows
}
