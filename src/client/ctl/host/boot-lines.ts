import { asGrubReads, asGrubReadsEntry, grubConfigurations, grubVariables } from './grub'
import type { HostFiles } from './host-files'

/** The reader of the file. It determines how broker-ctl writes the parameters. */
export type LineKind = 'grub' | 'grubEntry' | 'entry' | 'image' | 'kernelCmdline'

/** A kernel's command line in the form in which a boot loader passes it. */
export interface BootLine {
  readonly file: string
  readonly kind: LineKind
  readonly commandLine: string
  /** The kernel's release, if the name of its image shows it. */
  readonly release: string | undefined
}

/**
 * Returns the lines of every entry that boots Linux, and of the file from which the system makes the next entries. It leaves
 * out entries for rescue.
 */
export function bootLines(files: HostFiles): BootLine[] {
  return [...grubLines(files), ...entryLines(files), ...imageLines(files)].filter(
    ({ commandLine }) =>
      !/(^|\s)(single|recovery|rescue|systemd\.unit=rescue\.target)(\s|$)/.test(commandLine),
  )
}

function grubLines(files: HostFiles): BootLine[] {
  const variables = grubVariables(files)
  return grubConfigurations(files).flatMap(([file, text]) =>
    [...text.matchAll(/^\s*linux(?:16|efi)?\s+(\S+)(.*)$/gm)].map(([, image, words]) => ({
      file,
      kind: 'grub' as const,
      commandLine: asGrubReads(words!, variables).trim(),
      release: releaseOf(image!),
    })),
  )
}

/** GRUB reads the folder of /boot if its configuration says so. systemd-boot has not started this kernel. */
function readerOf(
  files: HostFiles,
  folder: string,
): (options: string) => Pick<BootLine, 'kind' | 'commandLine'> {
  const byGrub =
    folder.startsWith('/boot/loader') &&
    grubConfigurations(files).some(([, text]) => /^\s*(blscfg|bls_import)\b/m.test(text)) &&
    !startedBySystemdBoot(files)
  if (!byGrub) return commandLine => ({ kind: 'entry', commandLine })
  const variables = grubVariables(files)
  return options => ({ kind: 'grubEntry', commandLine: asGrubReadsEntry(options, variables) })
}

function startedBySystemdBoot(files: HostFiles): boolean {
  const name = '/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f'
  return files.bytes(name)?.subarray(4).toString('utf16le').includes('systemd-boot') === true
}

function entryLines(files: HostFiles): BootLine[] {
  const entries = ['/boot/loader/entries', '/boot/efi/loader/entries', '/efi/loader/entries'].flatMap(
    folder => {
      const read = readerOf(files, folder)
      return files
        .list(folder)
        .filter(name => name.endsWith('.conf'))
        .flatMap(name => {
          const file = `${folder}/${name}`
          const text = files.text(file) ?? ''
          const options = [...text.matchAll(/^options\s+(.*)$/gm)].map(([, words]) => words)
          const image = /^linux\s+(\S+)/m.exec(text)?.[1] ?? ''
          return options.length === 0 ? [] : [{ file, ...read(options.join(' ')), release: releaseOf(image) }]
        })
    },
  )
  return entries
}

/**
 * Returns the lines of unified kernel images, and of the file from which an installation of a kernel makes those and entries.
 */
function imageLines(files: HostFiles): BootLine[] {
  const images = ['/boot/efi/EFI/Linux', '/efi/EFI/Linux', '/boot/EFI/Linux'].flatMap(folder =>
    files
      .list(folder)
      .filter(name => name.endsWith('.efi'))
      .flatMap(name => {
        const commandLine = embeddedLine(files, `${folder}/${name}`)
        return commandLine === undefined
          ? []
          : [{ file: `${folder}/${name}`, kind: 'image' as const, commandLine, release: undefined }]
      }),
  )
  const file = '/etc/kernel/cmdline'
  const text = files.text(file)?.split(/\s+/).join(' ').trim()
  if (text === undefined) return images
  const { commandLine } = readerOf(files, '/boot/loader/entries')(text)
  return [...images, { file, kind: 'kernelCmdline', commandLine, release: undefined }]
}

/** Takes the release from /boot/vmlinuz-6.1.0, or /MACHINE/6.1.0/linux. */
function releaseOf(image: string): string | undefined {
  return /\/vmlinuz-([^/]+)$/.exec(image)?.[1] ?? /\/([^/]+)\/linux$/.exec(image)?.[1]
}

/** Reads the command line inside a unified kernel image (a PE file). undefined: there is none. */
function embeddedLine(files: HostFiles, file: string): string | undefined {
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
