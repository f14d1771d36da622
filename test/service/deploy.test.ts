/**
 * Proves that deploy/membroker.toml, from which every host's configuration begins, has every key there is, under the
 * table it belongs to, and is good as it is and with every line of it in use; and that the units let the broker's helper
 * finish.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { configSchema } from '../../src/broker/config/schema'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'

const file = path.join(packageRoot, 'deploy/membroker.toml')
const text = readFileSync(file, 'utf8')
/** What is left out by default begins with # and no space; prose has one. */
const complete = text.replace(/^#(?! |$)/gm, '')

interface Schema {
  properties?: Record<string, Schema>
  items?: Schema
}

/** Every key, as table.key. */
const keys = Object.entries((configSchema as Schema).properties!).flatMap(([table, schema]) =>
  Object.keys((schema.items ?? schema).properties!).map(key => `${table}.${key}`),
)

test('every key of the schema is in it', () => {
  const found = new Set<string>()
  let table = ''
  for (const line of complete.split('\n')) {
    table = /^\[+(\w+)\]+$/.exec(line)?.[1] ?? table
    const key = /^(\w+) = /.exec(line)?.[1]
    if (key !== undefined) found.add(`${table}.${key}`)
  }
  // Of an owner's two names one is used, the other told of.
  expect(text).toMatch('user = "libvirt-qemu"')
  found.add('owner.user')
  expect([...found].sort()).toEqual([...keys].sort())
  expect(keys.length).toBeGreaterThan(25)
})

test('with device-DAX, what ends the broker does not kill the helper, which may hold processes still', () => {
  const settings = ['membroker.service', 'devdax.conf'].map(name =>
    readFileSync(path.join(packageRoot, 'deploy', name), 'utf8'),
  )
  expect([...settings.join('\n').matchAll(/^KillMode=(.*)$/gm)].at(-1)![1]).toBe('process')
})

test.each([
  ['as it is', text],
  ['with every line in use', complete],
])('%s, the broker finds it good', (_, content) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-deploy-'))
  try {
    const copy = path.join(folder, 'membroker.toml')
    writeFileSync(copy, content)
    const main = path.join(packageRoot, 'dist/src/broker/main.js')
    const { status, stdout, stderr } = attemptNow(process.execPath, [main, '--config', copy, '--check'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/is good: guests/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
