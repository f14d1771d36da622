/**
 * Proves that the addon documents each function once: native/functions.ts those that it exports, native/addon.ts the classes,
 * which functions.ts passes on.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { packageRoot } from '../support/package-root'

const sourceOf = (text: string) => ts.createSourceFile('example.ts', text, ts.ScriptTarget.Latest)
const parse = (file: string) => sourceOf(readFileSync(path.join(packageRoot, 'native', file), 'utf8'))

/** The functions that a file declares and exports. */
const exportedFunctions = (source: ts.SourceFile) =>
  source.statements
    .filter(ts.isFunctionDeclaration)
    .filter(({ modifiers }) => modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword))
    .map(({ name }) => name!.text)

/** Members of the interface Addon, each with whether a comment stands before, in or after it. */
function members(source: ts.SourceFile): Array<{ name: string; commented: boolean }> {
  const addon = source.statements.filter(ts.isInterfaceDeclaration).find(({ name }) => name.text === 'Addon')!
  return addon.members.map(member => ({
    name: member.name!.getText(source),
    commented:
      ts.getLeadingCommentRanges(source.text, member.getFullStart()) !== undefined ||
      ts.getTrailingCommentRanges(source.text, member.end) !== undefined ||
      hasComment(source.text.slice(member.getStart(source), member.end)),
  }))
}

function hasComment(text: string): boolean {
  const scanner = ts.createScanner(ts.ScriptTarget.Latest, false, ts.LanguageVariant.Standard, text)
  for (let token = scanner.scan(); token !== ts.SyntaxKind.EndOfFileToken; token = scanner.scan())
    if (token === ts.SyntaxKind.SingleLineCommentTrivia || token === ts.SyntaxKind.MultiLineCommentTrivia)
      return true
  return false
}

test('a member that functions.ts exports as a function carries no comment in addon.ts, every other one does', () => {
  const exported = exportedFunctions(parse('functions.ts'))
  const all = members(parse('addon.ts'))
  expect(all.filter(({ name }) => exported.includes(name)).length).toBeGreaterThan(30)
  expect(all.filter(({ name, commented }) => commented === exported.includes(name))).toEqual([])
})

test('the rule sees a comment before, in and after a member, and none that belongs to another', () => {
  const text = `export interface Addon {
    /** Before. */
    a(): void
    b(/* in */ fd: number): void
    c(): void // after
    d(): void
    // Before, too.
    e: new () => Closable
    f(): void
  }`
  const commented = members(sourceOf(text)).filter(member => member.commented)
  expect(commented.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'e'])
})
