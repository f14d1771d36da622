/** Proves that no constructor takes more than four positional arguments: who needs more takes an object, whose keys name them. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { packageRoot } from '../support/package-root'

const most = 4
const files = ['src', 'protocol', 'native', 'man', 'test'].flatMap(folder =>
  readdirSync(path.join(packageRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => /\.m?tsx?$/.test(name) && !/^(generated|build)\//.test(name))
    .map(name => path.join(folder, name)),
)

function constructors(text: string, name = 'example.tsx'): ts.ConstructorDeclaration[] {
  const found: ts.ConstructorDeclaration[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isConstructorDeclaration(node)) found.push(node)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(name, text, ts.ScriptTarget.Latest))
  return found
}

test('no constructor takes more than four positional arguments', () => {
  const all = files.flatMap(file =>
    constructors(readFileSync(path.join(packageRoot, file), 'utf8'), file).map(({ parameters }) => ({
      file,
      count: parameters.length,
    })),
  )
  expect(all.length).toBeGreaterThan(100)
  expect(all.filter(({ count }) => count > most)).toEqual([])
})

test('the rule sees parameters that are properties, and a class in an expression', () => {
  const text =
    'const made = class { constructor(private a: number, readonly b = 1, c?: X, d = () => {}, ...e: Y[]) {} }'
  expect(constructors(text).map(({ parameters }) => parameters.length)).toEqual([5])
})
