import type { HostFiles } from './host-files'

type GrubVariables = ReadonlyMap<string, string>

const none: GrubVariables = new Map()
const variable = /\$(?:\{(\w+)\}|(\w+)|[?#*@])/g

/**
 * GRUB's script language, as GRUB 2.06 reads it. A backslash keeps the next character, but not within double quotes. Single
 * quotes keep all characters. $name is a variable; GRUB does not read its value again.
 */
export function asGrubReads(text: string, variables = none): string {
  const token = /\\(.)|'([^']*)'|"([^"]*)"|(\$(?:\{\w+\}|\w+|[?#*@]))|(.)/gs
  return text.replace(
    token,
    (_all, kept?: string, single?: string, double?: string, name?: string, plain?: string) =>
      kept ?? single ?? (double ?? name)?.replace(variable, valueIn(variables)) ?? plain ?? '',
  )
}

function valueIn(variables: GrubVariables) {
  return (_all: string, braced?: string, bare?: string) => variables.get(braced ?? bare ?? '') ?? ''
}

/**
 * The options of a boot loader entry. GRUB (its command blscfg) makes a line of its script of them. First it replaces $name by
 * values; nothing protects a $ there, not even a backslash. Then it reads the result as script.
 */
export function asGrubReadsEntry(options: string, variables: GrubVariables): string {
  const expanded = options.replace(/\$([A-Za-z0-9_]*) ?/g, (_all, name: string) => {
    const value = variables.get(name)
    return value === undefined ? '' : `${value} `
  })
  return asGrubReads(expanded, variables)
}

const grubFolders = ['/boot/grub', '/boot/grub2']

/** GRUB's configurations, each with its file and its text. */
export function grubConfigurations(files: HostFiles): [file: string, text: string][] {
  const vendors = files.list('/boot/efi/EFI').map(name => `/boot/efi/EFI/${name}`)
  return [...grubFolders, ...vendors].flatMap(folder => {
    const text = files.text(`${folder}/grub.cfg`)
    return text === undefined ? [] : [[`${folder}/grub.cfg`, text] as [string, string]]
  })
}

/** GRUB has these values when it comes to the entries: first those of its configuration, and over them the saved ones. */
export function grubVariables(files: HostFiles): Map<string, string> {
  const configurations = grubConfigurations(files)
  const set = configurations.flatMap(([, text]) =>
    [...text.matchAll(/^\s*set\s+(\w+)=("[^"]*"|'[^']*'|\S*)/gm)].map(
      ([, name, value]) => [name!, asGrubReads(value!)] as const,
    ),
  )
  const saved = configurations.flatMap(([file]) => {
    const text = files.text(file.replace(/grub\.cfg$/, 'grubenv')) ?? ''
    return [...text.matchAll(/^(\w+)=((?:\\.|[^\\\n])*)$/gms)].map(
      ([, name, value]) => [name!, value!.replace(/\\(.)/gs, '$1')] as const,
    )
  })
  return new Map([...set, ...saved])
}
