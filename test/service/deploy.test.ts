/**
 * Proves that deploy/membroker.toml, from which every host's configuration begins, has every key there is, under the
 * table it belongs to, and is good as it is and with every line of it in use; that the units let the broker's helper
 * finish, and that systemd never gives up on them.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { settleConsole } from '../../src/broker/config/console-settings'
import { configSchema } from '../../src/broker/config/schema'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'

const file = path.join(packageRoot, 'deploy/membroker.toml')
const text = readFileSync(file, 'utf8')
/** What is left out by default begins with # and no space; prose has one. */
const complete = text.replace(/^#(?! |$)/gm, '')

interface Schema {
  description?: string
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

test.each(['membroker.service', 'membroker-vm@.service'])('%s is started again for ever', unit => {
  const [description, service] = readFileSync(path.join(packageRoot, 'deploy', unit), 'utf8').split(
    '[Service]',
  )
  expect(description).toMatch(/^StartLimitIntervalSec=0$/m)
  expect(service).toMatch(/^Restart=(always|on-failure)$/m)
})

test('the defaults that it shows are those of the manual, and of the program', () => {
  // Of what describes the broker itself; an owner's or a range's lines are examples.
  let table = ''
  const shown = text.split('\n').flatMap(line => {
    table = /^#?\[+(\w+)\]+$/.exec(line)?.[1] ?? table
    const [, key, value] = /^#?(\w+) = (.*)$/.exec(line) ?? []
    return key !== undefined && ['broker', 'revoke', 'console'].includes(table) ? [[table, key, value!]] : []
  })
  const documented = shown.flatMap(([table, key, value]) => {
    const { description } = (configSchema as Schema).properties![table!]!.properties![key!]!
    const [, standard] = /Default: ("[^"]*"|\d+|true|false)[.;]/.exec(description!) ?? []
    return standard === undefined ? [] : [[`${table}.${key}`, value, standard]]
  })
  expect(documented.length).toBeGreaterThan(6)
  for (const [key, value, standard] of documented) expect([key, value]).toEqual([key, standard])
  expect(
    settleConsole({}, key => {
      throw new Error(key)
    }).viewersMax,
  ).toBe(Number(shown.find(([, key]) => key === 'viewers_max')![2]))
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
    const main = path.join(packageRoot, 'dist/program/membrokerd.js')
    const { status, stdout, stderr } = attemptNow(process.execPath, [main, '--config', copy, '--check'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/is good: guests/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
