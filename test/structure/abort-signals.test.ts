/**
 * Proves that no wait depends on a timeout that Node forgets: AbortSignal.any() does not hold the AbortSignal.timeout() that it is
 * given, and neither of the two fires once that is garbage.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../support/package-root'

test('no AbortSignal.any() has a timeout that nobody else holds', () => {
  const files = ['src', 'native', 'protocol', 'test'].flatMap(folder =>
    readdirSync(path.join(packageRoot, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts'))
      .map(name => path.join(folder, name)),
  )
  const forgotten = /AbortSignal\.any\([^)]*AbortSignal\.timeout\(/
  expect(files.filter(file => forgotten.test(readFileSync(path.join(packageRoot, file), 'utf8')))).toEqual([])
  expect(['AbortSignal.any([signal, AbortSignal', 'timeout(ms)])'].join('.')).toMatch(forgotten)
})
