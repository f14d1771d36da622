/** Proves that units of size and rounding to them are written once, in protocol/units.ts, and used everywhere else. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../support/package-root'

const home = 'protocol/units.ts'
const files = ['src', 'protocol', 'native', 'man'].flatMap(folder =>
  readdirSync(path.join(packageRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => /\.tsx?$/.test(name) && !/^(generated|build)\//.test(name))
    .map(name => path.join(folder, name)),
)

const forms = {
  'a power of 1024': /\b2 \*\* [1-6]0\b|\b1024 \*|\* 1024\b|\b1024 \*\*|<< [1-6]0n?\b/,
  'a unit of its own': /\b(?:const|let) (?:KiB|MiB|GiB|TiB)\b/,
  'rounding by hand': /Math\.(?:ceil|floor)\([^\n]*\/ (\w+)\) \* \1\b/,
}

test.each(Object.entries(forms))('%s is nowhere else', (_what, form) => {
  const found = files
    .filter(file => file !== home)
    .filter(file =>
      form.test(readFileSync(path.join(packageRoot, file), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')),
    )
  expect(files.length).toBeGreaterThan(300)
  expect(found).toEqual([])
})
