/** Proves that a tmpfs has a NUMA node only if it is bound to exactly one. */
import { boundNode } from '../../src/broker/source/directory/mount'

test.each([
  ['rw,relatime,rw,size=262144k,mpol=bind:1', 1],
  ['rw,mpol=bind=static:0,huge=always', 0],
  ['rw,mpol=bind:0,2,huge=always', undefined],
  ['rw,mpol=bind:0-1', undefined],
  ['rw,mpol=prefer:1', undefined],
  ['rw,mpol=local', undefined],
  ['rw,size=1k', undefined],
])('a tmpfs with %s has its memory on node %s', (options, node) => {
  // Proves that only a single node to which a tmpfs is bound is called its node.
  expect(boundNode(options.split(','))).toBe(node)
})
