import { existsSync } from 'node:fs'
import { Progress } from '../../lab/progress'
import { namedSuite, systemdPackages, systemdProgram } from '../../lab/systemd-packages'
import { attemptNow } from '../../support/child'
import { needsRoot } from '../../support/needs-root'

/** Where a root filesystem with systemd comes from. */
export interface SystemdFiles {
  /** The system's files. Default: this machine's. */
  root?: string
  /** What it needs over them to have systemd. undefined: nothing. */
  folder: string | undefined
}

/**
 * This machine's systemd where it has it, otherwise the distribution's packages, which are not installed. undefined,
 * and said so, where this machine can't run it; in CI that is a failure.
 */
export async function requireSystemd(): Promise<SystemdFiles | undefined> {
  if (!needsRoot('everything under a real systemd')) return undefined
  try {
    checkNamespaces()
    const own = namedSuite === undefined && existsSync(`/${systemdProgram}`)
    return { folder: own ? undefined : await systemdPackages(new Progress()) }
  } catch (error) {
    const message = `a systemd can't be run here: ${(error as Error).message}`
    if (process.env.CI) throw new Error(message, { cause: error })
    process.stderr.write(`\nLEFT OUT: everything under a real systemd. ${message}\n\n`)
    return undefined
  }
}

/** Containers seldom may. */
function checkNamespaces(): void {
  const script = 'd=$(mktemp -d) && mount -t cgroup2 cgroup2 $d && umount $d && rmdir $d'
  const apart = ['--mount', '--pid', '--fork', '--cgroup', '--propagation', 'private']
  const { status, stderr } = attemptNow('unshare', [...apart, 'sh', '-c', script])
  if (status !== 0) throw new Error(stderr.trim())
}
