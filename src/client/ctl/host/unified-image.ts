import type { HostFiles } from './host-files'

/** Reads the command line inside a unified kernel image (a PE file). undefined: there is none. */
export function embeddedLine(files: HostFiles, file: string): string | undefined {
  const head = files.part(file, 0, 4096)
  if (head === undefined || head.length < 0x40 || head.toString('latin1', 0, 2) !== 'MZ') return undefined
  const header = head.readUInt32LE(0x3c)
  if (header + 24 > head.length || head.toString('latin1', header, header + 4) !== 'PE\0\0') return undefined
  const sections = head.readUInt16LE(header + 6)
  const table = header + 24 + head.readUInt16LE(header + 20)
  for (let index = 0; index < sections; index++) {
    const entry = head.subarray(table + index * 40, table + (index + 1) * 40)
    if (entry.length < 40) return undefined
    if (entry.toString('latin1', 0, 8).replace(/\0+$/, '') !== '.cmdline') continue
    const [bytes, stored, offset] = [entry.readUInt32LE(8), entry.readUInt32LE(16), entry.readUInt32LE(20)]
    const text = files.part(file, offset, Math.min(bytes, stored, 65_536))?.toString('utf8') ?? ''
    return text.split('\0')[0]!.trim()
  }
  return undefined
}
