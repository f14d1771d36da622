/**
 * Proves that a device stays where it is told who has it open when the kernel's counts can't be read in the middle of
 * removing it: without that its memory could come back at the next boot only. And that its node is its own, whatever was
 * left there before.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { packageRoot } from '../support/package-root'

const suite = needsRoot('mounts') ? describe : describe.skip
const name = 'dax9.1'
/** Where no machine has memory, so no kernel has an account of it. */
const nowhere = 2 ** 51
const bytes = 2 ** 21

/** What a program prints that has mounts and a /run of its own. */
function runApart(program: string): unknown {
  const script = 'mount -t tmpfs none /run && exec "$0" -e "$1"'
  const args = ['-m', '--propagation', 'private', 'sh', '-c', script, process.execPath, program]
  return JSON.parse(runNow('unshare', args))
}

suite('with a mount namespace of its own', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'membroker-uncounted-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  function put(attribute: string, value: number | string): void {
    const file = path.join(folder, name, attribute)
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, `${value}\n`)
  }

  test('a removal that fails leaves the mount with the node', () => {
    put('size', bytes)
    put('align', bytes)
    put('mapping0/start', nowhere)
    put('mapping0/end', nowhere + bytes - 1)
    put('mapping0/page_offset', 0)
    mkdirSync(path.join(folder, 'drivers/device_dax'), { recursive: true })
    symlinkSync(path.join(folder, 'drivers/device_dax'), path.join(folder, name, 'driver'))
    const source = path.join(packageRoot, 'dist/src/broker/source')
    // The node is of /dev/null's number: nothing opens it.
    const program = `
      const { makeDeviceNode } = require('${source}/devdax/device-node')
      const { removeInstance } = require('${source}/devdax/instance')
      const { hasMount } = require('${source}/counting-mount')
      makeDeviceNode('${name}', 0x103, 0)
      let refused = false
      try { removeInstance('${folder}', '${name}', 'proved') } catch { refused = true }
      console.log(JSON.stringify({ refused, kept: hasMount('${name}') }))`
    expect(runApart(program)).toEqual({ refused: true, kept: true })
  })

  test('a node that an earlier device of that name has left is not taken for the new one', () => {
    const source = path.join(packageRoot, 'dist/src/broker/source')
    const program = `
      const { statSync } = require('fs')
      const { makeDeviceNode, nodeOf } = require('${source}/devdax/device-node')
      const { hasMount } = require('${source}/counting-mount')
      const found = []
      for (const [device, uid] of [[0x103, 7], [0x103, 0], [0x105, 9]]) {
        makeDeviceNode('${name}', device, uid)
        const stat = statSync(nodeOf('${name}'))
        found.push([stat.rdev, stat.uid, stat.mode & 0o777, hasMount('${name}')])
      }
      console.log(JSON.stringify(found))`
    expect(runApart(program)).toEqual([
      [0x103, 7, 0o600, true],
      [0x103, 0, 0o600, true],
      [0x105, 9, 0o600, true],
    ])
  })
})
