import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { findProgram } from '../guest/require-qemu'
import { Archive } from '../lab/archive'
import { Progress } from '../lab/progress'
import { attempt } from './child'

/** Programs of the distribution that tests run as they are packaged: the package, and the program's place in it. */
const programs = {
  memcached: ['memcached', 'usr/bin/memcached'],
  mdb_load: ['lmdb-utils', 'usr/bin/mdb_load'],
  ssh: ['openssh-client', 'usr/bin/ssh'],
  sshd: ['openssh-server', 'usr/sbin/sshd'],
  virtiofsd: ['qemu-system-common', 'usr/lib/qemu/virtiofsd'],
  rustc: ['rustc', 'usr/bin/rustc'],
} as const
type PackagedProgram = keyof typeof programs

/** What is installed as rustc may be rustup's, which runs nothing where the user has no toolchain. */
async function works(name: PackagedProgram, installed: string): Promise<boolean> {
  return name !== 'rustc' || (await attempt(installed, ['--version'])).status === 0
}

export const isPackaged = (name: string): name is PackagedProgram => name in programs

/**
 * The program as it is installed, or else as a script in the folder, beside one for each further program of its package, with the libraries of its
 * release. Where the archive can't be had: throws in CI; elsewhere says so and returns undefined.
 */
export async function packagedProgram(name: PackagedProgram, folder: string): Promise<string | undefined> {
  const [packageName, place] = programs[name]
  const installed = findProgram(name)
  if (installed !== undefined && (await works(name, installed))) return installed
  try {
    const archive = new Archive('bookworm', false, new Progress())
    const unpacked = await archive.unpacked(`${packageName}-bookworm`, () =>
      archive.withLibraries(packageName),
    )
    if (!existsSync(path.join(unpacked, place))) throw new Error(`the package has no ${place}`)
    const libraries = ['usr/lib', 'lib'].map(part => path.join(unpacked, part, 'x86_64-linux-gnu')).join(':')
    const programFolder = path.join(unpacked, path.dirname(place))
    mkdirSync(folder, { recursive: true })
    for (const program of readdirSync(programFolder)) {
      const script = path.join(folder, program)
      writeFileSync(
        script,
        `#!/bin/sh\nLD_LIBRARY_PATH=${libraries} exec ${path.join(programFolder, program)} "$@"\n`,
      )
      chmodSync(script, 0o755)
    }
    return path.join(folder, name)
  } catch (error) {
    if (process.env.CI) throw error
    process.stderr.write(`\nLEFT OUT: ${name} of the distribution: ${(error as Error).message}\n\n`)
    return undefined
  }
}
