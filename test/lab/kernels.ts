/** A kernel that the lab can boot. */
export interface KernelChoice {
  /** What --kernel takes: the first two numbers of the version, or another name. */
  readonly label: string
  /** The suite of the distribution's archive that has it. */
  readonly suite: string
  /** Whether the archive's security suite for the same release is to be asked as well. */
  readonly security: boolean
  /** The lab builds it from this package of the suite: the distribution has none with these options. */
  readonly source?: string
}

/** It has the Live Update Orchestrator. */
export const luo = {
  label: 'luo',
  suite: 'trixie-backports',
  security: false,
  source: 'linux-source-7.2',
} as const satisfies KernelChoice

export const kernelChoices: readonly KernelChoice[] = [
  { label: '6.1', suite: 'bookworm', security: true },
  { label: '6.12', suite: 'bookworm-backports', security: false },
  { label: '7.2', suite: 'trixie-backports', security: false },
  luo,
]

export const defaultKernel = '6.1'

/** @throws Error that names the kernels there are */
export function kernelChoice(label: string): KernelChoice {
  const choice = kernelChoices.find(candidate => candidate.label === label)
  if (choice) return choice
  const known = kernelChoices.map(candidate => candidate.label).join(', ')
  throw new Error(`there is no kernel ${JSON.stringify(label)} in the lab; it has ${known}`)
}

/** The newest plain amd64 image package of a version among the archive's names; undefined when there is none. */
export function newestImage(label: string, packages: readonly string[]): string | undefined {
  const plain = new RegExp(`^linux-image-${label.replaceAll('.', '\\.')}\\.[0-9][^-]*(-[0-9]+)?-amd64$`)
  return packages
    .filter(name => plain.test(name))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1)
}
