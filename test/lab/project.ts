import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { buildProgram, packageRoot } from '../guest/build'
import { hashTexts, labFolder, whole } from './cache'
import { command } from './command'
import { type LayerEntry, layer } from './layer'

/** Where the project is installed in the lab. */
export const installedAt = '/opt/node_modules/membroker'

/** The layer of the project as its users get it, and the compiled tests over it, which are not part of a package. */
export async function projectLayer(): Promise<string> {
  const root = packageRoot()
  const place = installedAt.slice(1)
  const { bin } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    bin: Record<string, string>
  }
  const programs = Object.values(bin)
  const modes = (file: string) => (programs.includes(file) ? { mode: 0o755 } : {})
  return withPackage(async unpacked => {
    const entries: LayerEntry[] = [
      ...tree(await dependencies(root), path.dirname(place)),
      ...tree(unpacked, place).map(entry => ({ ...entry, ...modes(entry.path.slice(place.length + 1)) })),
      ...tree(path.join(root, 'dist/test'), path.join(place, 'dist/test')),
      // What the package's install script would build here.
      file(place, root, 'native/build/Release/membroker.node'),
      ...Object.entries(bin).map(
        ([name, target]): LayerEntry => ({
          kind: 'link',
          path: `usr/bin/${name}`,
          target: `${installedAt}/${target}`,
        }),
      ),
      ...programEntries(root),
    ]
    return layer('project', entries)
  })
}

/** Runs with a folder of the files that `npm pack` would publish. */
async function withPackage<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = path.join(labFolder('pack'), String(process.pid))
  mkdirSync(folder, { recursive: true })
  try {
    await command('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], {
      cwd: packageRoot(),
    })
    const [archive] = readdirSync(folder)
    if (archive === undefined) throw new Error('npm pack made no archive')
    await command('tar', ['-xzf', path.join(folder, archive), '-C', folder])
    return await use(path.join(folder, 'package'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The packages that the project needs at run time, as its lock file names them. */
async function dependencies(root: string): Promise<string> {
  const files = ['package.json', 'package-lock.json']
  const lock = hashTexts(files.map(name => readFileSync(path.join(root, name), 'utf8')))
  const folder = await whole(path.join(labFolder('dependencies'), lock), async unfinished => {
    mkdirSync(unfinished)
    for (const name of files) copyFileSync(path.join(root, name), path.join(unfinished, name))
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
    await command('npm', ['ci', '--omit=dev', '--ignore-scripts', ...quiet], { cwd: unfinished })
  })
  return path.join(folder, 'node_modules')
}

/** Small C programs for scenarios, found in the lab's PATH. They need no libraries there. */
function programEntries(root: string): LayerEntry[] {
  const folder = path.join(root, 'test/lab/program')
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter(name => name.endsWith('.c'))
    .map(name => {
      const built = buildProgram(path.join(folder, name), ['-static'])
      if (built === undefined) throw new Error('the lab needs a C compiler for its programs')
      return { kind: 'file', path: `usr/bin/${path.basename(name, '.c')}`, file: built, mode: 0o755 }
    })
}

function tree(folder: string, place: string): LayerEntry[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true, encoding: 'utf8' })
    .filter(entry => entry.isFile())
    .map(entry => file(place, folder, path.relative(folder, path.join(entry.parentPath, entry.name))))
}

function file(place: string, folder: string, name: string): LayerEntry {
  return { kind: 'file', path: path.join(place, name), file: path.join(folder, name) }
}
