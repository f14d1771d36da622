import { chmodSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Archive } from '../lab/archive'
import { Progress } from '../lab/progress'

const release = 'trixie'
const suite = `${release}-backports`

/**
 * A script in the folder that is the newest QEMU of the backports, with the libraries of its release and its own C library.
 * Where the archive can't be had: throws in CI; elsewhere says so and returns undefined.
 */
export async function newestQemu(folder: string): Promise<string | undefined> {
  const progress = new Progress()
  try {
    const base = new Archive(release, false, progress)
    const programs = await new Archive(suite, false, progress).unpacked(`qemu-${suite}`, async () => [
      ...['qemu-system-x86', 'qemu-system-common', 'qemu-system-data'],
    ])
    const libraries = await base.unpacked(`qemu-libraries-${release}`, async () => {
      const [, ...own] = await base.withLibraries('qemu-system-x86')
      return [...own, 'libc6', 'libgcc-s1', 'zlib1g', 'seabios']
    })
    const place = path.join(libraries, 'usr/lib/x86_64-linux-gnu')
    const script = path.join(folder, 'newest-qemu')
    writeFileSync(
      script,
      `#!/bin/sh\nexec ${place}/ld-linux-x86-64.so.2 --library-path ${place} ${programs}/usr/bin/qemu-system-x86_64 ` +
        `-L ${programs}/usr/share/qemu -L ${libraries}/usr/share/seabios "$@"\n`,
    )
    chmodSync(script, 0o755)
    return script
  } catch (error) {
    if (process.env.CI) throw error
    process.stderr.write(`\nLEFT OUT: the newest QEMU: ${(error as Error).message}\n\n`)
    return undefined
  }
}
