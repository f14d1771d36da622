/** Smallest records that the contract allows, for scripted replies. */

export const range = {
  name: 'main',
  source: 'directory',
  state: 'online',
  bytes: 4096,
  freeBytes: 0,
  largestFreeBytes: 0,
  freeExtents: 0,
  allocatedBytes: 4096,
  quarantinedBytes: 0,
  scrubbingBytes: 0,
  poisonedBytes: 0,
  alignBytes: 4096,
  allocations: 1,
  table: { epoch: 1, sequence: 1, stateBytes: 1, stateBytesMax: 1, recovery: 'fresh' },
  capabilities: {
    fdBound: 'file',
    forcedRevoke: false,
    survivesBroker: true,
    survivesKexec: false,
    directMap: true,
    discard: true,
    pageBytes: 4096,
  },
}

export const allocation = {
  id: 1,
  name: 'x',
  range: 'main',
  uid: 0,
  bytes: 4096,
  alignBytes: 4096,
  extents: [{ offset: 0, length: 4096 }],
  secret: false,
  shares: [],
  mappings: 0,
  verdict: 'unverified',
}

export const mapping = {
  id: 1,
  allocation: 'x',
  offset: 0,
  length: 4096,
  access: 'read',
  uid: 0,
  state: 'held',
}
