/** Proves that ARCHITECTURE.md leads to the code: each place it names for a behaviour is there. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../support/package-root'

const text = readFileSync(path.join(packageRoot, 'ARCHITECTURE.md'), 'utf8')

/** A path without a known folder in front is below src/broker. */
function locate(file: string): string {
  const top = /^(src|native|protocol|test|docs|deploy|man)\//.test(file)
  return path.join(packageRoot, top ? '' : 'src/broker', file)
}

/** Behaviour, files, function. */
const rows = [...text.matchAll(/^\| ([^|]+) \| ((?:`[^`]+`(?:, )?)+) \| `([^`]+)` \|$/gm)].map(
  ([, behaviour, files, name]) =>
    [behaviour!, [...files!.matchAll(/`([^`]+)`/g)].map(([, file]) => file!), name!] as const,
)

test('there is a table of behaviours', () => {
  expect(rows.length).toBeGreaterThan(25)
})

test.each(rows)('%s: the files are there, and one defines the function', (_behaviour, files, name) => {
  const missing = files.filter(file => !existsSync(locate(file)))
  expect(missing).toEqual([])
  const defines = new RegExp(
    `(function\\*?|class|interface|const) ${name}\\b|^  (?:private |readonly |async |static |get )*${name}[(<]|^[\\w:*& ]+ ${name}\\(`,
    'm',
  )
  expect(files.filter(file => defines.test(readFileSync(locate(file), 'utf8')))).not.toEqual([])
})

test('every room that it describes is there', () => {
  const rooms = [...text.matchAll(/^\| `([\w./-]+)` \| /gm)].map(([, room]) => room!)
  expect(rooms.length).toBeGreaterThan(20)
  expect(rooms.filter(room => !existsSync(path.join(packageRoot, room)))).toEqual([])
})
