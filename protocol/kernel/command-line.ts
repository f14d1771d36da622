/** One parameter of a kernel's command line. Without = it has no value. */
export interface Parameter {
  readonly name: string
  readonly value: string | undefined
}

/** The longest line that an x86 kernel takes, without its end. The kernel cuts off the rest. */
export const commandLineBytesMax = 2047

/**
 * Returns the kernel's parameters; init gets those behind `--`. Double quotes keep blanks together, as in the kernel; nothing
 * escapes anything.
 */
export function parseCommandLine(text: string): Parameter[] {
  const parameters: Parameter[] = []
  for (const word of words(text)) {
    if (word === '--') break
    parameters.push(parameterOf(word))
  }
  return parameters
}

function words(text: string): string[] {
  const found: string[] = []
  let word = ''
  let quoted = false
  for (const character of `${text} `) {
    if (character === '"') quoted = !quoted
    if (/[\s\0]/.test(character) && !quoted) {
      if (word !== '') found.push(word)
      word = ''
    } else word += character
  }
  // An open quotation reaches to the end.
  if (word.trimEnd() !== '') found.push(word.trimEnd())
  return found
}

function parameterOf(word: string): Parameter {
  const text = word.startsWith('"') ? word.slice(1).replace(/"$/, '') : word
  const equals = text.indexOf('=', 1)
  if (equals < 0) return { name: text, value: undefined }
  const value = text.slice(equals + 1)
  return {
    name: text.slice(0, equals),
    value: value.startsWith('"') ? value.slice(1).replace(/"$/, '') : value,
  }
}

/** To the kernel, - and _ in names are the same. */
export function isNamed(parameter: Parameter, name: string): boolean {
  return parameter.name.replaceAll('-', '_') === name.replaceAll('-', '_')
}

/** Returns the values of all parameters of a name, in order; '' for one without a value. */
export function valuesOf(parameters: readonly Parameter[], name: string): string[] {
  return parameters.filter(parameter => isNamed(parameter, name)).map(({ value }) => value ?? '')
}

/** Returns the words of lists such as modprobe.blacklist=a,b, of all parameters of that name. */
export function listOf(parameters: readonly Parameter[], name: string): string[] {
  return valuesOf(parameters, name).flatMap(value => value.split(',').filter(word => word !== ''))
}

/** Whether a switch of the kernel is on. The last one counts. */
export function switchedOn(parameters: readonly Parameter[], name: string): boolean {
  const last = parameters.filter(parameter => isNamed(parameter, name)).at(-1)
  return last !== undefined && (last.value === undefined || /^(y|1|on|t)/i.test(last.value))
}
