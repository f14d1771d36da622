import { type ConfiguredRange, type Finding, isPreserved, lost, warning } from './configured-range'
import type { KernelBuild } from './kernel-build'

/** What the next kernel must have in common with the running one, for memory that one kernel preserves for the other. */
export interface Succession {
  /** undefined: unknown. */
  readonly runningRelease: string | undefined
  /** Somebody has loaded it already, and the kernel does not say by which call. */
  readonly isLoaded?: boolean | undefined
  /** The operator vouches: kexec -s has loaded it. */
  readonly byFile?: boolean | undefined
  /** The operator vouches: it reads what a kernel of the running one's release preserves. */
  readonly sameFormat?: boolean | undefined
}

const aboutPreserved = ['loader', 'release']

/** Without a loss where there is nothing to lose. ranges: they have nothing that the running kernel preserves. */
export function withoutPreserved(findings: readonly Finding[], ranges: ReadonlySet<string>): Finding[] {
  return findings.map(finding =>
    aboutPreserved.includes(finding.id) && ranges.has(finding.range ?? '')
      ? { ...finding, result: 'warning', reason: `${finding.reason}; it has no such memory now` }
      : finding,
  )
}

export function preservedFor(range: ConfiguredRange, build: KernelBuild, succession: Succession): Finding[] {
  if (!isPreserved(range)) return []
  const { isLoaded, byFile } = succession
  return [
    ...(isLoaded && !byFile ? [lost(range, 'loader', loaderUnknown)] : []),
    ...releaseOf(range, build, succession),
    ...(build.options ? [] : [warning(range, 'configuration', configurationUnknown)]),
  ]
}

const loaderUnknown =
  'a kernel is loaded, and nobody can see whether kexec -s did it: one that kexec -c loads gets none of this memory. ' +
  'Name the kernel by --kernel, or vouch for the loaded one by --loaded'
const configurationUnknown =
  "nobody knows the next kernel's configuration: one without the Live Update Orchestrator gets none of this memory"

function releaseOf(
  range: ConfiguredRange,
  { release: next, releaseBy }: KernelBuild,
  { runningRelease, sameFormat }: Succession,
): Finding[] {
  const isKnown = next !== undefined && releaseBy === 'image'
  if (isKnown && next === runningRelease) return []
  const running = runningRelease ?? 'an unknown release'
  const loss =
    'kernels promise no format, and one with another format panics at boot, or gets none of this memory'
  if (!isKnown) {
    const named = next === undefined ? '' : ` (its file's name says ${next})`
    const reason = `nobody knows whether the next kernel is ${running}, as this one${named}: ${loss}`
    return [warning(range, 'release', reason)]
  }
  const reason = `the next kernel is ${next}, and this one ${running}: ${loss}`
  return [
    sameFormat
      ? warning(range, 'release', reason)
      : lost(range, 'release', `${reason}. --same-format vouches that the formats are the same`),
  ]
}
