/** Lines of a kernel that say that something is wrong with it, behind the time that each of its lines begins with. */
const complaints = [
  /^-+\[ cut here \]-+/,
  /^WARNING: /,
  /^(kernel )?BUG( at|:)/,
  /^(BUG|kernel BUG) /,
  /^Oops/,
  /^Internal error/,
  /Kernel panic/,
  /^general protection fault/,
  /^list_(add|del) corruption/,
  /^Bad (page|rss-counter) /,
  /^(UBSAN|KASAN|KCSAN|KFENCE): /,
  /soft lockup|hard LOCKUP/i,
  /^rcu: .*(detected|self-detected) (stall|expedited stall)/,
  /^INFO: .*(blocked for more than|detected stall|self-detected stall)/,
  /: segfault at /,
  /^traps: /,
  /Out of memory: Killed process/,
  /^lab: /,
  /^x86\/.*unhandled/,
]

/** What the kernel complains of in a line of its console; undefined for any other line. */
export function complaintIn(line: string): string | undefined {
  const text = line.replace(/^(<\d+>)?\[ *\d+\.\d+\](\[ *[CT]\d+\])? ?/, '').trimEnd()
  return complaints.some(pattern => pattern.test(text)) ? text : undefined
}
