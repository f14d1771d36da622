/** Proves that `require` and `import` give the same objects under the same names. */
import path from 'node:path'
import * as sources from '../../src/client'
import { runNow } from '../support/child'
import { packageRoot } from '../support/package-root'

const names = Object.keys(sources).sort()

test('require and import give the same objects under the same names', () => {
  // Proves that the two builds can be mixed in one process: errors and classes of one are those of the other.
  const script = `
    import { createRequire } from 'node:module'
    const required = createRequire(import.meta.url)(${JSON.stringify(path.join(packageRoot, 'dist/src/client/index.js'))})
    const imported = await import(${JSON.stringify(path.join(packageRoot, 'dist/src/client/index.mjs'))})
    const names = Object.keys(imported).sort()
    console.log(JSON.stringify({ names, same: names.every(name => imported[name] === required[name]) }))`
  const told = runNow(process.execPath, ['--input-type=module', '-e', script], {
    cwd: packageRoot,
  })
  expect(JSON.parse(told)).toEqual({ names, same: true })
})
