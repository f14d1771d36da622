const perLine = 16

/** Offset, bytes and characters, as hexdump -C has them; a * stands for lines like the one before it. */
export function hexDump(bytes: Buffer, offset: number): string {
  const lines: string[] = []
  const digits = Math.max(8, (offset + bytes.length).toString(16).length)
  const place = (at: number) => (offset + at).toString(16).padStart(digits, '0')
  let previous: Buffer | undefined
  for (let at = 0; at < bytes.length; at += perLine) {
    const line = bytes.subarray(at, at + perLine)
    if (previous?.equals(line) && at + perLine < bytes.length) {
      if (lines.at(-1) !== '*') lines.push('*')
      continue
    }
    previous = line
    lines.push(`${place(at)}  ${hexadecimal(line)}  |${characters(line)}|`)
  }
  return [...lines, place(bytes.length)].join('\n')
}

function hexadecimal(line: Buffer): string {
  const half = (from: number) =>
    [...line.subarray(from, from + 8)].map(byte => byte.toString(16).padStart(2, '0')).join(' ')
  return `${half(0).padEnd(23)}  ${half(8).padEnd(23)}`
}

function characters(line: Buffer): string {
  return line.toString('latin1').replace(/[^\x20-\x7e]/g, '.')
}
