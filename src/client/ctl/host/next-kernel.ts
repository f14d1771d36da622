import { paint } from '../terminal/color'
import { defaultConfiguration, type Finding, physicalRanges, readConfiguration } from './configured-range'
import { firmwareMap, HostFiles, idleByModprobe } from './host-files'
import type { KernelBuild } from './kernel-build'
import { onPersistentMemory } from './persistent-memory'
import { preflight } from './preflight'
import { type Succession, withoutPreserved } from './preserved'

export interface CommandLineOptions {
  append?: string
  reuseCmdline?: boolean
}

/** The next kernel's command line, as kexec builds it; without an option, the running kernel's. */
export function nextCommandLine({ append, reuseCmdline }: CommandLineOptions): string {
  const running = new HostFiles().text('/proc/cmdline') ?? ''
  if (append === undefined) return running
  return reuseCmdline ? `${running} ${append}` : append
}

export interface NextKernelCheck {
  readonly good: boolean
  readonly commandLine: string
  /** Ranges in reserved memory. */
  readonly ranges: readonly string[]
  readonly findings: readonly Finding[]
}

/** @throws Failure: the configuration is wrong */
export async function checkNextKernel(
  commandLine: string,
  build: KernelBuild,
  succession: Omit<Succession, 'runningRelease'>,
  config = defaultConfiguration,
): Promise<NextKernelCheck> {
  const files = new HostFiles()
  const ranges = onPersistentMemory((await readConfiguration(config)).ranges, files)
  const findings = preflight(ranges, {
    commandLine,
    firmware: firmwareMap(files),
    build,
    idleByModprobe: idleByModprobe(files),
    succession: { ...succession, runningRelease: files.text('/proc/sys/kernel/osrelease') },
  })
  return {
    good: isGood(findings),
    commandLine,
    ranges: physicalRanges(ranges).map(({ name }) => name),
    findings,
  }
}

const isGood = (findings: readonly Finding[]) => findings.every(({ result }) => result !== 'lost')

/** By what the broker says: these ranges have nothing that the running kernel preserves. */
export function weighed(check: NextKernelCheck, ranges: ReadonlySet<string>): NextKernelCheck {
  const findings = withoutPreserved(check.findings, ranges)
  return { ...check, good: isGood(findings), findings }
}

export function describeCheck({ findings, ranges, good }: NextKernelCheck): string[] {
  const lines = findings.map(({ result, range, reason }) => {
    const label = result === 'lost' ? paint('LOST   ', 'red') : paint('warning', 'yellow')
    return `${label}  ${range === null ? '' : `${range}: `}${reason}`
  })
  if (!good) return [...lines, '', 'Do not boot this: memory that guests have would be lost.']
  return [
    ...lines,
    ranges.length === 0 ? 'There is no range in reserved memory.' : `Kept: ${ranges.join(', ')}.`,
  ]
}
