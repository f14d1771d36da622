export interface QemuOption {
  /** Keys and values in order, as QEMU reads them: the last of a key counts. */
  readonly pairs: ReadonlyArray<readonly [key: string, value: unknown]>
  readonly isJson: boolean
}

/**
 * Reads an option's value in either of QEMU's forms: {"qom-type":"memory-backend-file","share":true}, and
 * memory-backend-file,share=on. In the second a first part without = is the value of the key implied.
 * @throws SyntaxError
 */
export function parseOption(text: string, implied: string): QemuOption {
  if (text.startsWith('{')) return { pairs: Object.entries(JSON.parse(text)), isJson: true }
  // Two commas are one that belongs to a value.
  const parts = text.match(/(?:[^,]|,,)+/g) ?? []
  const pairs = parts.map((part, index): [string, string] => {
    const equals = part.indexOf('=')
    if (equals < 0) return index === 0 ? [implied, single(part)] : [part, 'on']
    return [part.slice(0, equals), single(part.slice(equals + 1))]
  })
  return { pairs, isJson: false }
}

/** The option with other values for some keys, in the form that it had. */
export function formatOption(option: QemuOption, changes: Readonly<Record<string, unknown>>): string {
  const value: Record<string, unknown> = { ...Object.fromEntries(option.pairs), ...changes }
  if (option.isJson) return JSON.stringify(value)
  return Object.entries(value)
    .map(([key, text]) => `${key}=${String(text).replaceAll(',', ',,')}`)
    .join(',')
}

/** on, yes, y and true are QEMU's words for true. */
export function isOn(value: unknown): boolean {
  return value === true || (typeof value === 'string' && /^(?:on|yes|y|true)$/.test(value))
}

function single(text: string): string {
  return text.replaceAll(',,', ',')
}
