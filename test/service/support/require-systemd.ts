import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { Archive, mergeUsr } from '../../lab/archive'
import { Progress } from '../../lab/progress'
import { attemptNow } from '../../support/child'
import { needsRoot } from '../../support/needs-root'

const program = 'lib/systemd/systemd'

/** SYSTEMD_SUITE=trixie: that of another release, whatever this machine has. */
const namedSuite = process.env.SYSTEMD_SUITE

/** What a root filesystem needs over this machine's own to have systemd. */
export interface SystemdFiles {
  /** undefined: nothing. */
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
    const own = namedSuite === undefined && existsSync(`/${program}`)
    return { folder: own ? undefined : await packages(namedSuite ?? 'bookworm') }
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

async function packages(suite: string): Promise<string> {
  const archive = new Archive(suite, false, new Progress())
  const folder = await archive.unpacked(`systemd-${suite}`, async () => [
    ...(await archive.withLibraries('systemd')),
    // What was built for a later C library needs it.
    ...(suite === namedSuite ? ['libc6', 'libgcc-s1'] : []),
  ])
  mergeUsr(folder)
  if (!existsSync(path.join(folder, 'usr', program)))
    throw new Error(`the package brought only ${readdirSync(folder)}`)
  return folder
}
