/** libmembroker(3), from the header: what it declares, under what it says of each. */

const escaped = text =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(['.])/gm, '\\&$1')

/** The text of a comment, without its stars. */
const prose = comment =>
  comment
    .replace(/^\/\*+<?/, '')
    .replace(/\*\/$/, '')
    .split('\n')
    .map(line => line.replace(/^\s*\*? ?/, ''))
    .join('\n')
    .trim()

function* blocks(header) {
  const body = header.slice(header.indexOf('/** What came of a call.'), header.lastIndexOf('#ifdef __GNUC__'))
  const pattern =
    /\/\* ---- (.+?) ---- \*\/|(\/\*\*(?:[^*]|\*(?!\/))*\*\/\n)?((?:typedef|struct|enum|[a-z_]+ )[^;{]*(?:\{[\s\S]*?\n\}[^;]*|\{[^\n]*\}[^;]*)?;)/g
  for (const [, section, comment, declaration] of body.matchAll(pattern))
    yield section !== undefined ? { section } : { comment: comment && prose(comment.trim()), declaration }
}

export function manualPage(header, version) {
  const lines = [
    `.TH LIBMEMBROKER 3 "" "membroker ${version}" "Library Functions Manual"`,
    '.SH NAME',
    'libmembroker \\- a client of the memory broker membrokerd',
    '.SH SYNOPSIS',
    '.nf',
    '.B #include <membroker.h>',
    '.PP',
    '.B cc program.c $(pkg\\-config \\-\\-cflags \\-\\-libs libmembroker)',
    '.fi',
    '.SH DESCRIPTION',
    ...escaped(prose(/\/\*\*[\s\S]*?\*\//.exec(header)[0]).replace(/^libmembroker: .*\n\n/, ''))
      .replaceAll('\n\n', '\n.PP\n')
      .split('\n'),
  ]
  let first = true
  for (const { section, comment, declaration } of blocks(header)) {
    if (section !== undefined || first) lines.push(`.SH ${(section ?? 'Errors').toUpperCase()}`)
    first = false
    if (section !== undefined) continue
    lines.push('.PP', '.nf', '.ft CR', ...escaped(declaration).split('\n'), '.ft', '.fi')
    if (comment) lines.push('.RS 4', ...escaped(comment).split('\n'), '.RE')
  }
  lines.push('.SH SEE ALSO', '.BR membrokerd (8),', '.BR broker\\-ctl (1)')
  return `${lines.join('\n')}\n`
}
