import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { Archive, mergeUsr } from './archive'
import type { Progress } from './progress'

export const systemdProgram = 'lib/systemd/systemd'

/** SYSTEMD_SUITE=trixie: that of another release, whatever this machine has. */
export const namedSuite = process.env.SYSTEMD_SUITE

/** A folder with a release's systemd and its libraries, below usr as on a merged system. */
export async function systemdPackages(progress: Progress, named = namedSuite): Promise<string> {
  const suite = named ?? 'bookworm'
  const archive = new Archive(suite, false, progress)
  const folder = await archive.unpacked(`systemd-${suite}`, async () => [
    ...(await archive.withLibraries('systemd')),
    // What was built for a later C library needs it.
    ...(named !== undefined ? ['libc6', 'libgcc-s1'] : []),
  ])
  mergeUsr(folder)
  if (!existsSync(path.join(folder, 'usr', systemdProgram)))
    throw new Error(`the package brought only ${readdirSync(folder)}`)
  return folder
}
