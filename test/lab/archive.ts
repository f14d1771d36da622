import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { labFolder, whole } from './cache'
import { command } from './command'
import type { Progress } from './progress'

/** What the machine's own apt gets its packages from. */
interface Source {
  uri: string
  release: string
}

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'

/**
 * One suite of the distribution's archive, read by apt with lists of its own: nothing of it is installed, the machine's
 * own lists stay as they are, and no rights are needed. apt checks signatures and sums of all it fetches. Archives of one
 * suite, in one process or several, share a folder and take turns in it: apt fails where another one holds its lists.
 */
export class Archive {
  private readonly folder: string
  private refreshed: Promise<void> | undefined

  constructor(
    private readonly suite: string,
    private readonly security: boolean,
    private readonly progress: Progress,
  ) {
    this.folder = labFolder('apt', suite)
  }

  /** Names of the packages that begin so. */
  async names(prefix: string): Promise<string[]> {
    await this.refresh()
    return (await this.apt('apt-cache', ['pkgnames', prefix])).split('\n').filter(name => name !== '')
  }

  /** What a package depends on, by name. */
  async dependencies(name: string): Promise<string[]> {
    await this.refresh()
    const printed = await this.apt('apt-cache', ['depends', '--important', name])
    return [...printed.matchAll(/^ *(?:Pre)?Depends: (\S+)$/gm)].map(match => match[1]!)
  }

  /** Packages and the libraries they need, those that these need included; not the C library, which every system has. */
  async withLibraries(...names: string[]): Promise<string[]> {
    await this.refresh()
    const printed = await this.apt('apt-cache', ['depends', '--recurse', '--important', ...names])
    const needs = new Map<string, string[]>()
    for (const block of printed.split(/\n(?=\S)/)) {
      const found = [...block.matchAll(/^ *(?:Pre)?Depends: (\S+)$/gm)].map(match => match[1]!)
      needs.set(block.split('\n', 1)[0]!, found)
    }
    const all = new Set(names)
    for (const next of all)
      for (const needed of needs.get(next) ?? []) if (/^lib(?!c6$|gcc-s1$)/.test(needed)) all.add(needed)
    return [...all]
  }

  /** All packages that an installation of these brings onto a machine that has none. */
  async installation(...names: string[]): Promise<string[]> {
    await this.refresh()
    const args = ['install', '--simulate', '--no-install-recommends', ...names]
    return [...(await this.apt('apt-get', args)).matchAll(/^Inst (\S+) /gm)].map(match => match[1]!)
  }

  /** What the archive says of packages, in the form of dpkg's own records. */
  describe(names: readonly string[]): Promise<string> {
    return this.apt('apt-cache', ['show', '--no-all-versions', ...names])
  }

  /** Packages unpacked into one folder, which stays in the cache under the name given; asks for their names only then. */
  unpacked(folderName: string, choose: () => Promise<readonly string[]>): Promise<string> {
    return whole(path.join(labFolder('packages'), folderName), async unfinished => {
      const names = await choose()
      await this.refresh()
      this.progress.say(`fetching ${names.join(', ')} from ${this.suite}`)
      const downloads = `${unfinished}.deb`
      mkdirSync(downloads)
      try {
        await this.apt('apt-get', ['download', '-qq', ...names], downloads)
        for (const file of readdirSync(downloads))
          await command('dpkg', ['-x', path.join(downloads, file), unfinished])
      } finally {
        rmSync(downloads, { recursive: true, force: true })
      }
    })
  }

  private refresh(): Promise<void> {
    this.refreshed ??= this.update()
    return this.refreshed
  }

  private async update(): Promise<void> {
    this.progress.say(`reading the package lists of ${this.suite}`)
    const sources = await configuredSources()
    const mirror = sources.find(({ release }) => /^[a-z]+$/.test(release))
    if (!mirror)
      throw new Error('apt on this machine has no source of a Debian release, so no mirror is known')
    const signed = existsSync(keyring) ? ` signed-by=${keyring}` : ''
    const lines = [`deb [arch=amd64${signed}] ${mirror.uri} ${this.suite} main`]
    const security = sources.find(({ release }) => release.endsWith('-security'))
    if (this.security && security)
      lines.push(`deb [arch=amd64${signed}] ${security.uri} ${this.suite}-security main`)
    for (const folder of ['lists/partial', 'cache/archives/partial'])
      mkdirSync(path.join(this.folder, folder), { recursive: true })
    const unfinished = path.join(this.folder, `sources.list.${process.pid}.part`)
    writeFileSync(unfinished, `${lines.join('\n')}\n`)
    renameSync(unfinished, path.join(this.folder, 'sources.list'))
    await this.apt('apt-get', ['update', '-qq', '-o', 'Acquire::Languages=none'])
  }

  private apt(program: 'apt-get' | 'apt-cache', args: readonly string[], cwd = this.folder): Promise<string> {
    const settings = [
      `Dir::Etc::SourceList=${path.join(this.folder, 'sources.list')}`,
      'Dir::Etc::SourceParts=/dev/null',
      `Dir::State::Lists=${path.join(this.folder, 'lists')}`,
      `Dir::Cache=${path.join(this.folder, 'cache')}`,
      // What is installed here must not decide what the newest there is.
      'Dir::State::status=/dev/null',
      // As root, apt would download as a user that can't write where we want the files.
      'APT::Sandbox::User=root',
      'APT::Architecture=amd64',
      'Acquire::Retries=3',
    ]
    const call = [program, ...settings.flatMap(setting => ['-o', setting]), ...args]
    return command('flock', [path.join(this.folder, 'turns'), ...call], { cwd })
  }
}

/** Moves what would hide the links to /usr on a merged system, if the folder were laid over its root. Idempotent. */
export function mergeUsr(folder: string): void {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    const place = path.join(folder, name)
    if (!existsSync(place) || lstatSync(place).isSymbolicLink()) continue
    cpSync(place, path.join(folder, 'usr', name), { recursive: true, verbatimSymlinks: true, force: true })
    rmSync(place, { recursive: true })
  }
}

async function configuredSources(): Promise<Source[]> {
  const printed = await command('apt-get', [
    'indextargets',
    '--format',
    '$(REPO_URI) $(RELEASE)',
    'Created-By: Packages',
  ])
  return printed
    .split('\n')
    .map(line => line.split(' '))
    .flatMap(([uri, release]) => (uri && release ? [{ uri, release }] : []))
}
