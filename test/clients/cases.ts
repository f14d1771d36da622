/** The table of cases that each client library passes against the same broker: in TypeScript, C and Python. As data. */

/** The operations of a driver; their arguments have the names of the TypeScript library. */
export type Operation =
  | 'allocate'
  | 'await'
  | 'call'
  | 'claim'
  | 'close'
  | 'closeMapping'
  | 'completeHandOver'
  | 'connect'
  | 'descriptor'
  | 'descriptors'
  | 'get'
  | 'grow'
  | 'guest'
  | 'leave'
  | 'list'
  | 'map'
  | 'participate'
  | 'read'
  | 'release'
  | 'revoke'
  | 'setMetadata'
  | 'share'
  | 'state'
  | 'status'
  | 'unwatch'
  | 'watch'
  | 'write'

export type Arguments = Readonly<Record<string, unknown>>

export interface Call {
  /** The process that does it; each has a connection of its own, made at its first step. */
  readonly by: string
  readonly do: Operation
  readonly with?: Arguments
  /** What the result has, at least. */
  readonly gives?: unknown
  /** The error's code, or code and parameters. */
  readonly fails?: string | { readonly code: string; readonly parameters: Arguments }
  /** The steps after it go on meanwhile; it is over before this process' next step. */
  readonly meanwhile?: true
}

/** Something happens to the broker, or to a process. */
export type Happening = { readonly broker: 'kill' | 'start' | 'restart' } | { readonly ends: string }

export interface Case {
  readonly name: string
  readonly steps: ReadonlyArray<Call | Happening>
}

const KiB = 1024
const MiB = 1024 * KiB

/** In texts of arguments and results: what is this library's own in the names of the one broker. */
const own = '%'
const ram = `${own}/ram`

export const cases: readonly Case[] = [
  {
    name: 'allocate, map, write, give back, release',
    steps: [
      { by: 'a', do: 'status', gives: { frozen: null, ranges: 1 } },
      {
        by: 'a',
        do: 'allocate',
        with: { name: ram, size: 3 * MiB + 1, align: 2 * MiB, metadata: { slot: 0, text: 'ä"\\\u0001😀' } },
        gives: {
          name: ram,
          range: 'main',
          bytes: 3 * MiB + 4 * KiB,
          alignBytes: 2 * MiB,
          metadata: { slot: 0, text: 'ä"\\\u0001😀' },
          secret: false,
          shares: [],
          mappings: 0,
          holderPid: 'a',
          verdict: 'unverified',
        },
      },
      {
        by: 'a',
        do: 'map',
        with: {
          as: 'm',
          name: ram,
          offset: MiB,
          length: MiB,
          guestAddress: 4 * 1024 * MiB,
          metadata: { x: [1, null] },
        },
        gives: {
          allocation: ram,
          offset: MiB,
          length: MiB,
          access: 'readWrite',
          guestAddress: 4 * 1024 * MiB,
          metadata: { x: [1, null] },
          pid: 'a',
          state: 'held',
        },
      },
      { by: 'a', do: 'descriptor', with: { mapping: 'm' }, gives: { open: true, closeOnExec: true } },
      { by: 'a', do: 'write', with: { mapping: 'm', offset: 5, text: 'hello' }, gives: 'written' },
      {
        by: 'a',
        do: 'map',
        with: { as: 'all', name: ram, access: 'read' },
        gives: { offset: 0, access: 'read' },
      },
      { by: 'a', do: 'read', with: { mapping: 'all', offset: MiB + 5, length: 10 }, gives: 'hello' },
      {
        by: 'a',
        do: 'get',
        with: { name: ram },
        gives: { allocations: [{ mappings: 2 }], mappings: [{}, {}] },
      },
      // The other mapping has the same file open: there is no proof yet.
      { by: 'a', do: 'closeMapping', with: { mapping: 'm' }, gives: 'quarantined' },
      { by: 'a', do: 'closeMapping', with: { mapping: 'all' }, gives: 'ended' },
      { by: 'a', do: 'release', with: { name: ram }, gives: 'ended' },
      {
        by: 'a',
        do: 'get',
        with: { name: ram },
        fails: { code: 'NotFound', parameters: { kind: 'allocation', name: ram } },
      },
    ],
  },
  {
    name: 'refusals have names and parameters',
    steps: [
      { by: 'a', do: 'allocate', with: { name: ram, size: MiB }, gives: { bytes: MiB } },
      {
        by: 'a',
        do: 'allocate',
        with: { name: ram, size: MiB },
        fails: { code: 'NameTaken', parameters: { name: ram } },
      },
      {
        by: 'a',
        do: 'allocate',
        with: { name: `${own}/large`, size: 2 ** 50 },
        fails: { code: 'NoSpace', parameters: { range: 'main', requestedBytes: 2 ** 50 } },
      },
      { by: 'a', do: 'allocate', with: { name: '', size: MiB }, fails: 'InvalidArgument' },
      { by: 'a', do: 'allocate', with: { name: `${own}/../x`, size: MiB }, fails: 'InvalidArgument' },
      {
        by: 'a',
        do: 'allocate',
        with: { name: `${own}/${'ä'.repeat(127)}`, size: MiB },
        fails: 'InvalidArgument',
      },
      { by: 'a', do: 'allocate', with: { name: `${own}/zero`, size: 0 }, fails: 'InvalidArgument' },
      {
        by: 'a',
        do: 'allocate',
        with: { name: `${own}/huge`, size: 2 ** 53 },
        fails: { code: 'InvalidParameter', parameters: { parameter: 'bytes' } },
      },
      {
        by: 'a',
        do: 'allocate',
        with: { name: `${own}/elsewhere`, size: MiB, range: 'none' },
        fails: 'NotFound',
      },
      {
        by: 'a',
        do: 'allocate',
        with: { name: `${own}/align`, size: MiB, align: 3 },
        fails: 'InvalidArgument',
      },
      {
        by: 'a',
        do: 'allocate',
        with: { name: `${own}/meta`, size: MiB, metadata: { a: 'x'.repeat(4096) } },
        fails: 'InvalidArgument',
      },
      { by: 'a', do: 'map', with: { as: 'm', name: ram, offset: 1 }, fails: 'InvalidArgument' },
      { by: 'a', do: 'map', with: { as: 'm', name: ram, offset: MiB }, fails: 'InvalidArgument' },
      { by: 'a', do: 'claim', with: { as: 'x', name: `${own}/nothing` }, fails: 'NotFound' },
      {
        by: 'b',
        do: 'claim',
        with: { as: 'x', name: ram },
        fails: { code: 'AlreadyClaimed', parameters: { name: ram, pid: 'a' } },
      },
      { by: 'b', do: 'map', with: { as: 'm', name: ram }, fails: 'AlreadyClaimed' },
      { by: 'b', do: 'completeHandOver', with: { name: ram }, fails: 'NotClaimed' },
      { by: 'a', do: 'call', with: { method: 'Freeze', parameters: { reason: 'update' } } },
      { by: 'a', do: 'status', gives: { frozen: 'update' } },
      {
        by: 'b',
        do: 'map',
        with: { as: 'm', name: ram },
        fails: { code: 'Frozen', parameters: { reason: 'update' } },
      },
      { by: 'a', do: 'release', with: { name: ram }, fails: 'Frozen' },
      { by: 'a', do: 'call', with: { method: 'Thaw' } },
      { by: 'a', do: 'release', with: { name: ram }, gives: 'ended' },
    ],
  },
  {
    name: 'grow, share, metadata',
    steps: [
      { by: 'a', do: 'allocate', with: { name: ram, size: MiB, secret: 'ß' }, gives: { secret: true } },
      { by: 'a', do: 'grow', with: { name: ram, size: 2 * MiB, secret: 'ß' }, gives: { bytes: 2 * MiB } },
      {
        by: 'a',
        do: 'share',
        with: { name: ram, uid: 12345, access: 'read' },
        gives: { shares: [{ uid: 12345, access: 'read' }] },
      },
      { by: 'a', do: 'share', with: { name: ram, uid: 12345 }, gives: { shares: [] } },
      {
        by: 'a',
        do: 'setMetadata',
        with: { name: ram, metadata: { a: { b: [true] } } },
        gives: { metadata: { a: { b: [true] } } },
      },
      { by: 'a', do: 'setMetadata', with: { name: ram }, gives: {} },
      { by: 'a', do: 'list', with: { prefix: `${own}/` }, gives: { allocations: [{ name: ram }] } },
      { by: 'a', do: 'list', with: { prefix: `${own}/none` }, gives: { allocations: [] } },
      { ends: 'a' },
      { by: 'b', do: 'claim', with: { as: 'x', name: ram }, fails: 'PermissionDenied' },
      {
        by: 'b',
        do: 'claim',
        with: { as: 'x', name: ram, secret: 'ß' },
        gives: { claimed: [{ joined: false, mappings: [] }] },
      },
      { by: 'b', do: 'release', with: { name: ram, secret: 'ß' }, gives: 'ended' },
    ],
  },
]
