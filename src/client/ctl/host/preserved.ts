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

export function preservedFor(range: ConfiguredRange, build: KernelBuild, succession: Succession): Finding[] {
  if (!isPreserved(range)) return []
  const { isLoaded, byFile, runningRelease } = succession
  const isSame = build.release !== undefined && build.release === runningRelease
  return [
    ...(isLoaded && !byFile ? [lost(range, 'loader', loaderUnknown)] : []),
    ...(isSame ? [] : [otherRelease(range, build.release, succession)]),
    ...(isSame || build.options ? [] : [warning(range, 'configuration', configurationUnknown)]),
  ]
}

const loaderUnknown =
  'a kernel is loaded, and nobody can see whether kexec -s did it: one that kexec -c loads gets none of this memory. ' +
  'Name the kernel by --kernel, or vouch for the loaded one by --loaded'
const configurationUnknown =
  "nobody knows the next kernel's configuration: one without the Live Update Orchestrator gets none of this memory"

function otherRelease(range: ConfiguredRange, next: string | undefined, succession: Succession): Finding {
  const { runningRelease = 'an unknown release', sameFormat } = succession
  const loss =
    'kernels promise no format, and one with another format panics at boot, or gets none of this memory'
  if (next === undefined)
    return warning(
      range,
      'release',
      `nobody knows whether the next kernel is ${runningRelease}, as this one: ${loss}`,
    )
  const reason = `the next kernel is ${next}, and this one ${runningRelease}: ${loss}`
  return sameFormat
    ? warning(range, 'release', reason)
    : lost(range, 'release', `${reason}. --same-format vouches that the formats are the same`)
}
