import { existsSync } from 'node:fs'
import path from 'node:path'
import { paint } from '../terminal/color'
import { defaultConfiguration, type Finding, physicalRanges, readConfiguration } from './configured-range'
import { firmwareMap, HostFiles, idleByModprobe } from './host-files'
import { buildOptions, type KernelBuild, modulesIn } from './kernel-build'
import { onPersistentMemory } from './persistent-memory'
import { preflight } from './preflight'

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
  config = defaultConfiguration,
): Promise<NextKernelCheck> {
  const files = new HostFiles()
  const ranges = onPersistentMemory((await readConfiguration(config)).ranges, files)
  const findings = preflight(ranges, {
    commandLine,
    firmware: firmwareMap(files),
    build,
    idleByModprobe: idleByModprobe(files),
  })
  return {
    good: findings.every(({ result }) => result !== 'lost'),
    commandLine,
    ranges: physicalRanges(ranges).map(({ name }) => name),
    findings,
  }
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

/** An image to load, and all that the host knows of it. */
export interface KernelImage {
  readonly image: string
  readonly initrd: string | undefined
  readonly build: KernelBuild
}

/** kernel: a file, or the release of an installed kernel. initrd: a file; by default the one that belongs to the kernel. */
export function findKernel(kernel: string, initrd: string | undefined): KernelImage {
  const release = kernel.includes('/') ? path.basename(kernel).match(/^[a-z]+-(\d.*)$/i)?.[1] : kernel
  const folder = kernel.includes('/') ? path.dirname(kernel) : '/boot'
  const first = (files: string[]) => files.find(file => existsSync(file))
  const image = kernel.includes('/')
    ? kernel
    : (first([`/boot/vmlinuz-${kernel}`, `/lib/modules/${kernel}/vmlinuz`]) ?? `/boot/vmlinuz-${kernel}`)
  const own = ['initrd.img-', 'initramfs-', 'initrd-'].flatMap(prefix => [
    `${folder}/${prefix}${release}`,
    `${folder}/${prefix}${release}.img`,
  ])
  const modules = `/lib/modules/${release}`
  return {
    image,
    initrd: initrd ?? (release === undefined ? undefined : first(own)),
    build: {
      options: release === undefined ? undefined : buildOptions(new HostFiles(), release),
      modules: release !== undefined && existsSync(modules) ? modulesIn(modules) : undefined,
    },
  }
}
