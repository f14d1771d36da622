/** Proves that ARCHITECTURE.md leads to the code: each place it names for a behaviour is there. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { orders } from '../structure/orders'
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

test('each row of the table of behaviours has files and a function', () => {
  const table = /^\| behaviour [\s\S]*?\n\n/m.exec(text)![0].trim().split('\n').slice(2)
  expect(rows.length).toBeGreaterThan(25)
  expect(rows).toHaveLength(table.length)
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

test('the rooms of the broker, and of broker-ctl, stand in the order of their imports', () => {
  const rooms = [...text.matchAll(/^\| `([\w./-]+)` \| /gm)].map(([, room]) => room!.replace(/\.ts$/, ''))
  for (const folder of ['src/broker', 'src/client/ctl']) {
    const inside = orders[folder]!.map(room => `${folder}/${room}`)
    const found = rooms.filter(room => inside.includes(room))
    expect(found.length).toBeGreaterThan(2)
    expect(found).toEqual(inside.filter(room => found.includes(room)))
  }
})

test('every room that it describes is there', () => {
  const rooms = [...text.matchAll(/^\| `([\w./-]+)` \| /gm)].map(([, room]) => room!)
  expect(rooms.length).toBeGreaterThan(20)
  expect(rooms.filter(room => !existsSync(path.join(packageRoot, room)))).toEqual([])
})
