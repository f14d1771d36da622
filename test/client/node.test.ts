import { needsRoot } from '../support/needs-root'
import { BrokerProcess } from './support/broker-process'
import { ctl } from './support/ctl'

const testAsRoot = needsRoot('a tmpfs bound to a node') ? test : test.skip

/** Its range is on a tmpfs of its own that has memory of node 0 only. */
const onNode0 = [
  'unshare',
  '--mount',
  'sh',
  '-c',
  'for config; do :; done; memory=$(dirname "$config")/memory; mkdir "$memory" && ' +
    'mount -t tmpfs -o size=256m,mode=700,mpol=bind:0 tmpfs "$memory" && exec "$@"',
  'sh',
]

testAsRoot('a range on a tmpfs that is bound to a node has that node, for allocations too', async () => {
  // Proves that what the operator has mounted for a node can be asked for by node, and is not given out for another.
  const broker = await new BrokerProcess({ runBy: onNode0 }).start()
  try {
    const ranges = JSON.parse((await ctl(broker.socket, 'ranges', '--json')).stdout)
    expect(ranges).toMatchObject([{ name: 'main', node: 0 }])
    expect(await ctl(broker.socket, 'allocate', 'a', '4M', '--node', '0')).toMatchObject({ code: 0 })
    const other = await ctl(broker.socket, 'allocate', 'b', '4M', '--node', '1')
    expect([other.code, other.stderr]).toEqual([1, expect.stringMatching(/'main' of node 0/)])
  } finally {
    await broker.dispose()
  }
})
