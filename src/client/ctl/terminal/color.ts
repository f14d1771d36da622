const sgr = {
  bold: [1, 22],
  dim: [2, 22],
  inverse: [7, 27],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  cyan: [36, 39],
} as const

export type Color = keyof typeof sgr

type Stream = Pick<NodeJS.WriteStream, 'isTTY'>

/** FORCE_COLOR decides where it is set (0: none), then NO_COLOR, then whether a terminal that can show them is there. */
export function colorsWanted(stream: Stream = process.stdout, env = process.env): boolean {
  if (env.FORCE_COLOR) return !['0', 'false'].includes(env.FORCE_COLOR)
  return !env.NO_COLOR && isScreen(stream, env)
}

/** A terminal that obeys escape sequences. */
export function isScreen(stream: Stream, env = process.env): boolean {
  return stream.isTTY === true && env.TERM !== 'dumb'
}

export function paint(text: string, color: Color | undefined, wanted = colorsWanted()): string {
  if (!color || !wanted || text === '') return text
  const [on, off] = sgr[color]
  return `\u001b[${on}m${text}\u001b[${off}m`
}
