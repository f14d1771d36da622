/** Proves that a tmpfs bound to a NUMA node makes a range of that node. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { needsRoot } from '../support/needs-root'
import { TestBroker } from '../support/test-broker'
import { ctl } from './support/ctl'

const testAsRoot = needsRoot('a tmpfs bound to a node') ? test : test.skip

testAsRoot('a range on a tmpfs that is bound to a node has that node, for allocations too', async () => {
  // Proves that what the operator has mounted for a node can be asked for by node, and is not given out for another.
  const directory = mkdtempSync(path.join(tmpdir(), 'membroker-node-'))
  const mount = `mount -t tmpfs -o size=256m,mode=700,mpol=bind:0 tmpfs '${directory}' && exec "$@"`
  const runBy = ['unshare', '--mount', 'sh', '-c', mount, 'sh']
  const broker = await TestBroker.start({ main: {}, directory, runBy })
  try {
    const ranges = JSON.parse((await ctl(broker.socket, 'ranges', '--json')).stdout)
    expect(ranges).toMatchObject([{ name: 'main', node: 0 }])
    expect(await ctl(broker.socket, 'allocate', 'a', '4M', '--node', '0')).toMatchObject({ code: 0 })
    const other = await ctl(broker.socket, 'allocate', 'b', '4M', '--node', '1')
    expect([other.code, other.stderr]).toEqual([1, expect.stringMatching(/'main' of node 0/)])
  } finally {
    await broker.dispose()
    rmSync(directory, { recursive: true, force: true })
  }
})
