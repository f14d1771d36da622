/**
 * Whether this is root, which some suites need for mounts and other uids. Where it is not, says what is left out; in CI
 * that is a failure.
 */
export function needsRoot(what: string): boolean {
  if (process.getuid!() === 0) return true
  if (process.env.CI) throw new Error(`${what}: needs root, which CI has`)
  process.stderr.write(`\nLEFT OUT, needs root: ${what}\n\n`)
  return false
}
