import { copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Archive, mergeUsr } from '../lab/archive'
import { Progress } from '../lab/progress'
import type { SystemdFiles } from '../service/support/require-systemd'

/** Debian 12 and 13. */
export const releases = ['bookworm', 'trixie'] as const
type Release = (typeof releases)[number]

const base =
  'base-files base-passwd bash coreutils dash diffutils dpkg findutils grep gzip hostname libc-bin sed tar'.split(
    ' ',
  )
/** The library of C++ comes with membroker, by apt: dpkg installs nothing that a package depends on. */
const host = 'libstdc++6 util-linux mount passwd systemd python3 qemu-system-x86 seabios memcached'.split(' ')

const ofTheArchive = /^(Filename|Size|MD5sum|SHA\d+): .*\n?/gm

/**
 * A root of a release's packages alone, with all that they depend on, as dpkg knows them. They are unpacked, none of their scripts
 * has run. Where the archive can't be had: throws in CI; elsewhere says so and returns undefined.
 */
export async function cleanRoot(release: Release): Promise<SystemdFiles | undefined> {
  const archive = new Archive(release, false, new Progress())
  const names = () => archive.installation(...base, ...host)
  try {
    const root = await archive.unpacked(`root-${release}`, names)
    await complete(root, async () => archive.describe(await names()))
    return { root, folder: undefined }
  } catch (error) {
    if (process.env.CI) throw error
    process.stderr.write(`\nLEFT OUT: packages on ${release}: ${(error as Error).message}\n\n`)
    return undefined
  }
}

/** What the scripts of the packages would have made. Idempotent. */
async function complete(root: string, describe: () => Promise<string>): Promise<void> {
  const at = (place: string) => path.join(root, place)
  const status = at('var/lib/dpkg/status')
  if (existsSync(status)) return
  mergeUsr(root)
  const link = (target: string, place: string) => {
    if (!existsSync(at(place))) symlinkSync(target, at(place))
  }
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) link(`usr/${name}`, name)
  link('dash', 'usr/bin/sh')
  link('mawk', 'usr/bin/awk')
  for (const name of ['passwd', 'group'])
    copyFileSync(at(`usr/share/base-passwd/${name}.master`), at(`etc/${name}`))
  for (const name of ['proc', 'sys', 'dev', 'run', 'tmp', 'var/lib/dpkg/info', 'var/lib/dpkg/updates'])
    mkdirSync(at(name), { recursive: true })
  for (const name of ['doc', 'man', 'locale', 'info'])
    rmSync(at(`usr/share/${name}`), { recursive: true, force: true })
  const stanzas = (await describe()).split(/\n\n+/).filter(text => text.trim() !== '')
  const record = (text: string) =>
    `${text.replaceAll(ofTheArchive, '').trim()}\nStatus: install ok installed\n`
  writeFileSync(status, stanzas.map(record).join('\n'))
}
