import type { HostFiles } from './host-files'

/** A kernel's command line as a boot loader has it. */
export interface BootLine {
  readonly file: string
  readonly commandLine: string
}

/** Of every entry that boots Linux; those for rescue are left out. */
export function bootLines(files: HostFiles): BootLine[] {
  return [...grubLines(files), ...entryLines(files)].filter(
    ({ commandLine }) =>
      !/(^|\s)(single|recovery|rescue|systemd\.unit=rescue\.target)(\s|$)/.test(commandLine),
  )
}

function grubLines(files: HostFiles): BootLine[] {
  return ['/boot/grub/grub.cfg', '/boot/grub2/grub.cfg'].flatMap(file =>
    [...(files.text(file) ?? '').matchAll(/^\s*linux(?:16|efi)?\s+\S+(.*)$/gm)].map(([, words]) => ({
      file,
      commandLine: asGrubReads(words!).trim(),
    })),
  )
}

const variable = /\$(?:\{\w+\}|\w+|[?#*@])/g

/**
 * GRUB's script language, as GRUB 2.06 was seen to read it: a backslash keeps the next character, but not within double
 * quotes; single quotes keep all of theirs; $name is a variable, and none that such a line could mean has a value.
 */
export function asGrubReads(text: string): string {
  const token = /\\(.)|'([^']*)'|"([^"]*)"|\$(?:\{\w+\}|\w+|[?#*@])|(.)/gs
  return text.replace(
    token,
    (_all, kept?: string, single?: string, double?: string, plain?: string) =>
      kept ?? single ?? double?.replace(variable, '') ?? plain ?? '',
  )
}

function entryLines(files: HostFiles): BootLine[] {
  return ['/boot/loader/entries', '/boot/efi/loader/entries', '/efi/loader/entries'].flatMap(folder =>
    files
      .list(folder)
      .filter(name => name.endsWith('.conf'))
      .flatMap(name => {
        const file = `${folder}/${name}`
        const options = [...(files.text(file) ?? '').matchAll(/^options\s+(.*)$/gm)].map(([, words]) => words)
        return options.length === 0 ? [] : [{ file, commandLine: options.join(' ') }]
      }),
  )
}
