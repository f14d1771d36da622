/** Proves that imports point one way: which folder may import which is written here, and nowhere else broken. */
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import path from 'node:path'
import { packageRoot } from '../support/package-root'
import { orders } from './orders'

/** Folders whose files may import only from their own and these; node: whether Node's modules, and which. */
const rooms: Record<string, { imports: string[]; node: 'any' | string[] }> = {
  protocol: { imports: [], node: ['node:buffer'] },
  native: { imports: [], node: 'any' },
  program: { imports: [], node: 'any' },
  // Runs in a browser: no addon, nothing of Node, and of the broker only what the wire says.
  'src/page': { imports: ['protocol'], node: [] },
  'src/broker': { imports: ['protocol', 'native'], node: 'any' },
  man: { imports: ['protocol', 'src/broker', 'src/client'], node: 'any' },
  'src/client': { imports: ['protocol', 'native'], node: 'any' },
}
/** Makes the generated files: a program that reads and writes them, and no part of the protocol itself. */
const generators = /^protocol\/(generate\.ts$|idl\/)/
/** Read from their files when they are asked for, as no bundler carries a .varlink file. */
const descriptionReader = 'protocol/interfaces.ts'

interface Import {
  file: string
  line: number
  specifier: string
}

function sources(folder: string): string[] {
  return readdirSync(path.join(packageRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => /\.m?tsx?$/.test(name) && !name.includes('node_modules'))
    .map(name => path.join(folder, name))
    .filter(file => roomOf(file) === folder)
}

/** import, import type, export from, import() and require(), in whichever form; comments are left out. */
function importsOf(file: string): Import[] {
  const text = readFileSync(path.join(packageRoot, file), 'utf8').replace(/\/\*[\s\S]*?\*\//g, comment =>
    comment.replace(/[^\n]/g, ' '),
  )
  const forms = /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)(['"])([\w@./:-]+)\1/g
  return [...text.matchAll(forms)]
    .filter(match => !/^\s*(\/\/|\*)/.test(text.slice(text.lastIndexOf('\n', match.index) + 1, match.index)))
    .map(match => ({
      file,
      line: text.slice(0, match.index).split('\n').length,
      specifier: match[2]!,
    }))
}

function roomOf(file: string): string {
  const room = [...Object.keys(rooms), 'test'].find(name => file.startsWith(`${name}/`))
  return room ?? 'outside'
}

const isNode = (specifier: string) => specifier.startsWith('node:') || builtinModules.includes(specifier)
const where = ({ file, line, specifier }: Import) => `${file}:${line} imports '${specifier}'`

const allFiles = new Set(Object.keys(rooms).flatMap(sources))
const all = [...allFiles].flatMap(importsOf)
const testFiles = new Set(sources('test'))

test('the imports were found at all', () => {
  for (const room of Object.keys(rooms))
    expect(all.filter(({ file }) => roomOf(file) === room)).not.toEqual([])
  const specifiers = (file: string) => importsOf(file).map(({ specifier }) => specifier)
  expect(specifiers('src/broker/main.ts')).toEqual(expect.arrayContaining(['node:fs', './broker']))
  expect(specifiers('src/broker/command-line.ts')).toEqual(['commander', './version'])
  expect(specifiers('src/broker/config/config.ts')).toEqual(expect.arrayContaining(['node:fs', 'smol-toml']))
})

test('every room imports only itself and the rooms below it', () => {
  const wrong = all.filter(({ file, specifier }) => {
    if (!specifier.startsWith('.')) return false
    const target = roomOf(path.join(path.dirname(file), specifier, 'x'))
    const room = roomOf(file)
    return target !== room && !rooms[room]!.imports.includes(target)
  })
  expect(wrong.map(where)).toEqual([])
})

/** 'allocator/' of src/broker/allocator/extents.ts, 'main' of src/broker/main.ts; undefined outside the folder. */
function innerRoomOf(folder: string, file: string): string | undefined {
  if (!file.startsWith(`${folder}/`)) return undefined
  const [room, ...rest] = file.slice(folder.length + 1).split('/')
  return rest.length > 0 ? `${room}/` : room!.replace(/\.m?tsx?$/, '')
}

test.each(Object.entries(orders))('in %s, every room imports only rooms below it', (folder, order) => {
  const inside = all.filter(({ file }) => file.startsWith(`${folder}/`))
  const found = new Set(
    [...allFiles].map(file => innerRoomOf(folder, file)).filter(room => room !== undefined),
  )
  expect([...found].sort()).toEqual([...order].sort())
  const wrong = inside.filter(({ file, specifier }) => {
    if (!specifier.startsWith('.')) return false
    const imported = fileOf(file, specifier)
    const room = innerRoomOf(folder, file)!
    const target = imported && innerRoomOf(folder, imported)
    return target && target !== room && order.indexOf(target) >= order.indexOf(room)
  })
  expect(wrong.map(where)).toEqual([])
})

/** The file of ours that a relative import names; undefined for anything else, such as a built addon. */
function fileOf(importer: string, specifier: string): string | undefined {
  const target = path.join(path.dirname(importer), specifier)
  const names = ['.ts', '.tsx', '/index.ts', ''].map(ending => target + ending)
  return names.find(name => allFiles.has(name) || testFiles.has(name))
}

test('no files import each other in a circle, the tests’ own neither', () => {
  const graph = new Map<string, string[]>()
  for (const { file, specifier } of [...all, ...[...testFiles].flatMap(importsOf)]) {
    if (!specifier.startsWith('.')) continue
    const found = fileOf(file, specifier)
    if (found !== undefined) graph.set(file, [...(graph.get(file) ?? []), found])
  }
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (file: string, way: readonly string[]) => {
    if (way.includes(file)) circles.push([...way.slice(way.indexOf(file)), file].join(' -> '))
    if (done.has(file) || way.includes(file)) return
    for (const next of graph.get(file) ?? []) visit(next, [...way, file])
    done.add(file)
  }
  for (const file of graph.keys()) visit(file, [])
  expect(graph.size).toBeGreaterThan(700)
  expect(circles).toEqual([])
})

test('nobody reaches another room by a name of the package or an absolute path', () => {
  const wrong = all.filter(({ specifier }) => /^(\/|membroker(\/|$)|file:)/.test(specifier))
  expect(wrong.map(where)).toEqual([])
})

test('the protocol needs nothing of Node but Buffer', () => {
  const wrong = all.filter(
    ({ file, specifier }) =>
      roomOf(file) === 'protocol' &&
      !generators.test(file) &&
      file !== descriptionReader &&
      !specifier.startsWith('.') &&
      !(rooms.protocol!.node as string[]).includes(specifier),
  )
  expect(wrong.map(where)).toEqual([])
})

test('only the broker-ctl folder, and its manual, import broker-ctl', () => {
  const ctl = 'src/client/ctl/'
  const inward = all.filter(
    ({ file, specifier }) =>
      !file.startsWith(ctl) &&
      roomOf(file) !== 'man' &&
      specifier.startsWith('.') &&
      path.join(path.dirname(file), specifier).startsWith(ctl.slice(0, -1)),
  )
  expect(inward.map(where)).toEqual([])
})

test('the page of the console runs in a browser: it imports nothing of Node, and as values no code of the broker', () => {
  const page = all.filter(({ file }) => roomOf(file) === 'src/page')
  expect(page.filter(({ specifier }) => isNode(specifier)).map(where)).toEqual([])
  const outside = page.filter(({ specifier }) => !specifier.startsWith('.')).map(({ specifier }) => specifier)
  expect([...new Set(outside)].sort()).toEqual(['preact', 'preact/hooks', 'uplot'])
})

test('everything imported from outside is a dependency, Node itself, or our own', () => {
  const { dependencies } = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8'))
  const wrong = all.filter(({ file, specifier }) => {
    // What the page needs is bundled into it.
    if (specifier.startsWith('.') || isNode(specifier) || roomOf(file) === 'src/page') return false
    const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
    return !(name in dependencies)
  })
  expect(wrong.map(where)).toEqual([])
})

test('what is shipped imports no test', () => {
  const wrong = all.filter(({ file, specifier }) =>
    specifier.startsWith('.') ? roomOf(path.join(path.dirname(file), specifier)) === 'test' : false,
  )
  expect(wrong.map(where)).toEqual([])
})
