import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { buildPlainDriver } from '../clients/build-driver'
import { buildGuest, buildLibrary, buildProgram } from '../guest/build'
import { packageRoot } from '../support/package-root'
import { labFolder } from './cache'
import { command } from './command'
import { disk } from './disk'
import type { Entry, FileEntry } from './entry'

/** Where the project is installed on its disk, which is the lab's /opt. */
const place = 'node_modules/membroker'

/** The project as its users get it, and over it the compiled tests and what they use of the broker, which a package has only in its bundle. */
export async function projectDisk(): Promise<string> {
  const root = packageRoot
  const { bin } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    bin: Record<string, string>
  }
  const programs = Object.values(bin)
  const modes = (file: string) => (programs.includes(file) ? { mode: 0o755 } : {})
  return withPackage(async unpacked => {
    const entries: Entry[] = [
      ...(await dependencies(root)),
      ...codeLoader.flatMap(name => tree(path.join(root, name), name)),
      ...tree(unpacked, place).map(entry => ({ ...entry, ...modes(entry.path.slice(place.length + 1)) })),
      ...['dist/test', 'dist/src/broker'].flatMap(folder =>
        tree(path.join(root, folder), path.join(place, folder)),
      ),
      file(place, root, 'test/clients/driver.py'),
      // What the package's install scripts would make here.
      file(place, root, 'native/build/Release/membroker.node'),
      ...['membroker-launcher', 'membroker-worker'].map(name => ({
        ...file(place, root, `native/build/Release/${name}`),
        mode: 0o755,
      })),
      ...compiledCode(root),
      ...Object.entries(bin).map(
        ([name, target]): Entry => ({ kind: 'link', path: `bin/${name}`, target: `../${place}/${target}` }),
      ),
      ...programEntries(root),
    ]
    return disk('project', entries)
  })
}

/** Runs with a folder of the files that `npm pack` would publish. */
async function withPackage<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = path.join(labFolder('pack'), String(process.pid))
  mkdirSync(folder, { recursive: true })
  try {
    await command('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], {
      cwd: packageRoot,
    })
    const [archive] = readdirSync(folder)
    if (archive === undefined) throw new Error('npm pack made no archive')
    await command('tar', ['-xzf', path.join(folder, archive), '-C', folder])
    return await use(path.join(folder, 'package'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The packages that the project needs at run time, as they are installed here by its lock file. */
async function dependencies(root: string): Promise<Entry[]> {
  const printed = await command('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: root })
  const folders = printed.split('\n').filter(folder => folder.startsWith(path.join(root, 'node_modules')))
  return folders.flatMap(folder => tree(folder, path.relative(root, folder)))
}

/** Scenarios load C code with it; a package of the project does not have it. */
const codeLoader = ['node_modules/ffi-rs', 'node_modules/@yuuang']

/** The native parts of the packages that only the lab adds; they load libraries of their own. */
export const loaderAddons = () =>
  codeLoader
    .flatMap(name => tree(path.join(packageRoot, name), path.join(packageRoot, name)))
    .flatMap(({ path: file }) => (file.endsWith('.node') ? [file] : []))

/** What V8 made of the programs at set-up; without it they compile at each start. */
function compiledCode(root: string): FileEntry[] {
  const folder = 'dist/program'
  const names = readdirSync(path.join(root, folder)).filter(name => name.endsWith('.cache'))
  if (names.length === 0) throw new Error('the set-up has recorded no compiled code of the programs')
  return names.map(name => file(place, root, path.join(folder, name)))
}

const bandwidthFile = 'lib/bandwidth.so'
/** Where scenarios find the C code that they load. */
export const bandwidthLibrary = `/opt/${bandwidthFile}`

/** Small C programs that scenarios find in the lab's PATH. The C library is the only one they get. */
function programEntries(root: string): FileEntry[] {
  const folder = path.join(root, 'test/lab/program')
  const sources = existsSync(folder) ? readdirSync(folder).filter(name => name.endsWith('.c')) : []
  const programs = sources.map(name => path.join(folder, name))
  const entry = (built: string | undefined, place: string): FileEntry => {
    if (built === undefined) throw new Error('the lab needs a C compiler for its programs')
    return { kind: 'file', path: place, file: built, mode: 0o755 }
  }
  return [
    ...programs.map(source => entry(buildProgram(source), `bin/${path.basename(source, '.c')}`)),
    entry(buildGuest(), 'bin/tiny-vmm'),
    entry(buildProgram('test/service/support/manager.c'), 'bin/manager'),
    entry(buildProgram('test/program/stuck-inode-lock.c'), 'bin/stuck-inode-lock'),
    entry(buildPlainDriver(), 'bin/c-client'),
    entry(buildLibrary('test/bench/bandwidth.c'), bandwidthFile),
  ]
}

/** The files of a folder, at a place. */
export function tree(folder: string, place: string): FileEntry[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true, encoding: 'utf8' })
    .filter(entry => entry.isFile())
    .map(entry => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .filter(name => !name.split(path.sep).includes('node_modules'))
    .map(name => file(place, folder, name))
}

function file(place: string, folder: string, name: string): FileEntry {
  return { kind: 'file', path: path.join(place, name), file: path.join(folder, name) }
}
