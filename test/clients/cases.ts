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
  | 'discard'
  | 'get'
  | 'give'
  | 'grow'
  | 'guest'
  | 'leave'
  | 'list'
  | 'map'
  | 'participate'
  | 'fail'
  | 'path'
  | 'read'
  | 'release'
  | 'revoke'
  | 'setMetadata'
  | 'share'
  | 'shrink'
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
  /** '@m' as id is the number of the mapping m, '@socket' the broker's socket. */
  readonly with?: Arguments
  /** What the result has, at least. */
  readonly gives?: unknown
  /** The error's code, or code and parameters. */
  readonly fails?: string | { readonly code: string; readonly parameters: Arguments }
  /** The steps after it go on meanwhile; it is over before this process' next step. */
  readonly meanwhile?: true
  /** Asked again until it gives that. */
  readonly until?: true
}

/**
 * Something happens to the broker, or to a process; an operator begins an update of the host, waits until all are ready or one
 * is not, or calls it off.
 */
type Happening =
  | { readonly broker: 'kill' | 'start' | 'restart' }
  | { readonly ends: string }
  | { readonly update: 'begin' | 'ready' | 'failed' | 'staysPaused' | 'cancel' }

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
    name: 'discard and shrink',
    steps: [
      { by: 'a', do: 'allocate', with: { name: ram, size: 4 * MiB }, gives: { bytes: 4 * MiB } },
      { by: 'a', do: 'map', with: { as: 'm', name: ram, length: 2 * MiB }, gives: { length: 2 * MiB } },
      { by: 'a', do: 'write', with: { mapping: 'm', offset: 0, text: 'hello' } },
      { by: 'a', do: 'write', with: { mapping: 'm', offset: MiB, text: 'there' } },
      {
        by: 'a',
        do: 'discard',
        with: {
          name: ram,
          pieces: [
            { offset: 3 * MiB, length: MiB },
            { offset: 0, length: 8192 },
          ],
        },
        gives: 4096,
      },
      { by: 'a', do: 'read', with: { mapping: 'm', offset: 0, length: 5 }, gives: '' },
      { by: 'a', do: 'read', with: { mapping: 'm', offset: MiB, length: 5 }, gives: 'there' },
      {
        by: 'a',
        do: 'discard',
        with: { name: ram, pieces: [{ offset: 1, length: 4096 }] },
        fails: 'InvalidArgument',
      },
      { by: 'a', do: 'discard', with: { name: ram, pieces: [] }, fails: 'InvalidArgument' },
      {
        by: 'b',
        do: 'discard',
        with: { name: ram, pieces: [{ offset: 0, length: 4096 }] },
        fails: { code: 'AlreadyClaimed', parameters: { name: ram, pid: 'a' } },
      },
      { by: 'a', do: 'shrink', with: { name: ram, size: 5 * MiB }, fails: 'InvalidArgument' },
      { by: 'a', do: 'shrink', with: { name: ram, size: 2 * MiB }, gives: { bytes: 2 * MiB } },
      { by: 'a', do: 'read', with: { mapping: 'm', offset: MiB, length: 5 }, gives: 'there' },
      { by: 'a', do: 'grow', with: { name: ram, size: 3 * MiB }, gives: { bytes: 3 * MiB } },
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
  {
    name: 'a path, and another owner',
    steps: [
      { by: 'a', do: 'allocate', with: { name: ram, size: MiB } },
      { by: 'a', do: 'path', with: { name: ram }, gives: MiB },
      { by: 'b', do: 'give', with: { name: ram, uid: 12345 }, fails: 'AlreadyClaimed' },
      { ends: 'a' },
      { by: 'b', do: 'give', with: { name: ram, uid: 12345 }, gives: { uid: 12345 } },
      { by: 'b', do: 'path', with: { name: ram }, gives: 'nowhere' },
      { by: 'b', do: 'claim', with: { as: 'x', name: ram }, fails: 'PermissionDenied' },
      { by: 'b', do: 'release', with: { name: ram }, gives: 'ended' },
      { by: 'b', do: 'path', with: { name: ram }, fails: 'NotFound' },
    ],
  },
  {
    name: 'rebuild: all layouts come back to the next process, with their bytes',
    steps: [
      { by: 'a', do: 'allocate', with: { name: ram, size: 2 * MiB, metadata: { slot: 1 } } },
      { by: 'a', do: 'allocate', with: { name: `${own}/vga`, size: MiB } },
      { by: 'a', do: 'allocate', with: { name: `${own}/locked`, size: MiB, secret: 'other' } },
      {
        by: 'a',
        do: 'map',
        with: { as: 'low', name: ram, length: MiB, guestAddress: 0, metadata: { n: 1 } },
      },
      {
        by: 'a',
        do: 'map',
        with: { as: 'high', name: ram, offset: MiB, guestAddress: 3 * MiB, access: 'read' },
      },
      { by: 'a', do: 'map', with: { as: 'vga', name: `${own}/vga` } },
      { by: 'a', do: 'write', with: { mapping: 'low', text: 'here before' } },
      { by: 'b', do: 'allocate', with: { name: `${own}/theirs`, size: MiB } },
      { ends: 'a' },
      {
        by: 'c',
        do: 'claim',
        with: { as: 'x', prefix: `${own}/` },
        gives: {
          claimed: [
            {
              allocation: { name: ram, metadata: { slot: 1 }, holderPid: 'c' },
              joined: false,
              mappings: [
                {
                  offset: 0,
                  length: MiB,
                  guestAddress: 0,
                  metadata: { n: 1 },
                  access: 'readWrite',
                  pid: 'c',
                  state: 'held',
                },
                { offset: MiB, length: MiB, guestAddress: 3 * MiB, access: 'read' },
              ],
            },
            { allocation: { name: `${own}/vga` }, mappings: [{ offset: 0, length: MiB }] },
          ],
          notClaimed: [
            { name: `${own}/locked`, outcome: 'refused' },
            { name: `${own}/theirs`, outcome: 'held' },
          ],
        },
      },
      { by: 'c', do: 'read', with: { mapping: 'x0', length: 20 }, gives: 'here before' },
      {
        by: 'c',
        do: 'claim',
        with: { as: 'y', prefix: `${own}/none` },
        gives: { claimed: [], notClaimed: [] },
      },
      { by: 'c', do: 'closeMapping', with: { mapping: 'x1' } },
      { by: 'c', do: 'closeMapping', with: { mapping: 'x0' }, gives: 'ended' },
      {
        by: 'd',
        do: 'map',
        with: { as: 'none', name: ram },
        fails: { code: 'AlreadyClaimed', parameters: { pid: 'c' } },
      },
    ],
  },
  {
    name: 'the memory of a guest lies at its addresses',
    steps: [
      { by: 'a', do: 'allocate', with: { name: ram, size: 4 * MiB } },
      { by: 'a', do: 'map', with: { as: 'low', name: ram, length: MiB, guestAddress: 64 * KiB } },
      {
        by: 'a',
        do: 'map',
        with: { as: 'high', name: ram, offset: MiB, length: 2 * MiB, guestAddress: 4096 * MiB },
      },
      {
        by: 'a',
        do: 'guest',
        with: { mappings: ['high', 'low'] },
        gives: { high: 'guest 0', low: 'guest 1' },
      },
      { by: 'a', do: 'release', with: { name: ram, graceMs: 20_000 }, gives: 'ended' },
      { by: 'a', do: 'await', with: { event: 'revoke' }, gives: {} },
      { by: 'a', do: 'await', with: { event: 'revoke' }, gives: {} },
      { by: 'a', do: 'state', with: { mapping: 'low' }, gives: 'closed' },
      { by: 'a', do: 'closeMapping', with: { mapping: 'high' }, gives: 'gone' },
    ],
  },
  {
    name: 'a revoke: the holder is asked, lets go, and the owner has the proof',
    steps: [
      { by: 'a', do: 'allocate', with: { name: ram, size: MiB } },
      { by: 'a', do: 'map', with: { as: 'm', name: ram } },
      { by: 'a', do: 'write', with: { mapping: 'm', text: 'x' } },
      { by: 'b', do: 'revoke', with: { id: '@m', graceMs: 20_000 }, gives: 'ended', meanwhile: true },
      { by: 'a', do: 'await', with: { event: 'revoke' }, gives: { mapping: 'm' } },
      { by: 'b', do: 'get', with: { name: ram }, gives: { mappings: [] } },
      { by: 'a', do: 'state', with: { mapping: 'm' }, gives: 'closed' },
      { by: 'a', do: 'write', with: { mapping: 'm', text: 'x' }, fails: 'MappingRevoked' },
      { by: 'a', do: 'closeMapping', with: { mapping: 'm' }, gives: 'gone' },
      // The handler's own time: the process closes it by itself.
      { by: 'a', do: 'map', with: { as: 'late', name: ram, later: true } },
      { by: 'b', do: 'revoke', with: { id: '@late', graceMs: 20_000 }, gives: 'ended', meanwhile: true },
      { by: 'a', do: 'await', with: { event: 'revoke' }, gives: { mapping: 'late' } },
      { by: 'a', do: 'state', with: { mapping: 'late' }, gives: 'revoking' },
      { by: 'a', do: 'closeMapping', with: { mapping: 'late' }, gives: 'ended' },
      { by: 'b', do: 'get', with: { name: ram }, gives: { mappings: [] } },
    ],
  },
  {
    name: 'hand-over: a successor joins a living holder, and takes its place',
    steps: [
      { by: 'a', do: 'allocate', with: { name: ram, size: MiB } },
      { by: 'a', do: 'map', with: { as: 'm', name: ram, guestAddress: 0 } },
      { by: 'a', do: 'write', with: { mapping: 'm', text: 'from a' } },
      {
        by: 'b',
        do: 'claim',
        with: { as: 'x', name: ram, takeOver: true },
        gives: {
          claimed: [
            {
              joined: true,
              allocation: { holderPid: 'a', successorPid: 'b' },
              mappings: [{ guestAddress: 0, pid: 'b' }],
            },
          ],
        },
      },
      { by: 'b', do: 'read', with: { mapping: 'x0', length: 10 }, gives: 'from a' },
      { by: 'c', do: 'claim', with: { as: 'y', name: ram, takeOver: true }, fails: 'Busy' },
      { by: 'b', do: 'completeHandOver', with: { name: ram }, gives: 'completed' },
      { by: 'a', do: 'await', with: { event: 'revoke' }, gives: { mapping: 'm' } },
      {
        by: 'b',
        do: 'get',
        with: { name: ram },
        gives: { allocations: [{ holderPid: 'b' }], mappings: [{ pid: 'b', state: 'held' }] },
        until: true,
      },
    ],
  },
  {
    name: 'a restart of the broker: mappings, memory and claims go on, calls wait',
    steps: [
      { by: 'a', do: 'allocate', with: { name: ram, size: MiB } },
      { by: 'a', do: 'map', with: { as: 'm', name: ram } },
      { by: 'a', do: 'watch', with: { mine: true }, gives: 'watching' },
      {
        by: 'a',
        do: 'await',
        with: { event: 'snapshot' },
        gives: { again: false, mappings: [{ allocation: ram }] },
      },
      { broker: 'kill' },
      { by: 'a', do: 'write', with: { mapping: 'm', text: 'still here' }, gives: 'written' },
      { by: 'a', do: 'await', with: { event: 'disconnected' }, gives: {} },
      {
        by: 'a',
        do: 'get',
        with: { name: ram },
        gives: { mappings: [{ state: 'held', pid: 'a' }] },
        meanwhile: true,
      },
      { broker: 'start' },
      { by: 'a', do: 'await', with: { event: 'reconnected' }, gives: {} },
      { by: 'a', do: 'await', with: { event: 'snapshot' }, gives: { again: true } },
      { by: 'a', do: 'read', with: { mapping: 'm', length: 20 }, gives: 'still here' },
      { by: 'a', do: 'grow', with: { name: ram, size: 2 * MiB }, gives: { bytes: 2 * MiB } },
      { broker: 'restart' },
      // Nobody noticed the end of the connection: nothing was sent, so the call waits too.
      { by: 'a', do: 'map', with: { as: 'n', name: ram, offset: MiB }, gives: { length: MiB } },
      {
        by: 'b',
        do: 'claim',
        with: { as: 'x', name: ram },
        fails: { code: 'AlreadyClaimed', parameters: { pid: 'a' } },
      },
      { by: 'b', do: 'revoke', with: { id: '@n', graceMs: 20_000 }, gives: 'ended', meanwhile: true },
      { by: 'a', do: 'await', with: { event: 'revoke' }, gives: { mapping: 'n' } },
      { by: 'b', do: 'get', with: { name: ram }, gives: { mappings: [{}] } },
    ],
  },
  {
    name: 'nobody listens: said at once, and after the time to wait',
    steps: [
      { by: 'a', do: 'status' },
      { by: 'a', do: 'close', gives: 'closed' },
      { by: 'a', do: 'connect', with: { socket: '/nowhere/broker.sock' }, fails: 'BrokerUnreachable' },
      { by: 'a', do: 'connect', with: { socket: '/tmp' }, fails: 'BrokerUnreachable' },
      { by: 'a', do: 'connect', with: { socket: `/tmp/${'x'.repeat(200)}` }, fails: 'BrokerUnreachable' },
      {
        by: 'a',
        do: 'connect',
        with: { socket: '@socket', reconnectMs: 300 },
        gives: 'connected',
        until: true,
      },
      { by: 'a', do: 'allocate', with: { name: ram, size: MiB } },
      { broker: 'kill' },
      { by: 'a', do: 'get', with: { name: ram }, fails: 'BrokerUnreachable' },
      { broker: 'start' },
      { by: 'a', do: 'get', with: { name: ram }, gives: { allocations: [{ holderPid: 'a' }] }, until: true },
    ],
  },
  {
    name: 'a watch: the state, then each change',
    steps: [
      { by: 'b', do: 'allocate', with: { name: ram, size: MiB } },
      { by: 'a', do: 'watch', gives: 'watching' },
      {
        by: 'a',
        do: 'await',
        with: { event: 'snapshot' },
        gives: { again: false, allocations: [{ name: ram }], mappings: [] },
      },
      { by: 'b', do: 'allocate', with: { name: `${own}/new`, size: MiB } },
      {
        by: 'a',
        do: 'await',
        with: { event: 'allocated' },
        gives: { kind: 'allocated', allocation: `${own}/new`, bytes: MiB },
      },
      { by: 'b', do: 'grow', with: { name: ram, size: 3 * MiB } },
      { by: 'a', do: 'await', with: { event: 'grown' }, gives: { allocation: ram, bytes: 3 * MiB } },
      { by: 'a', do: 'unwatch', gives: 'unwatched' },
      { by: 'a', do: 'status', gives: {} },
    ],
  },
  {
    name: 'a participant in updates: ready, called off, and again; ready no more',
    steps: [
      { by: 'a', do: 'participate', with: { name: '' }, fails: 'InvalidArgument' },
      { by: 'a', do: 'participate', with: { name: `${own} ä` }, gives: 'joined' },
      { update: 'begin' },
      { by: 'a', do: 'await', with: { event: 'prepare' }, gives: { reason: 'a new kernel', hasTime: true } },
      { by: 'a', do: 'await', with: { event: 'cancelled' }, gives: { reason: 'not today' }, meanwhile: true },
      { update: 'ready' },
      { update: 'cancel' },
      { by: 'a', do: 'status', gives: {} },
      { update: 'begin' },
      { by: 'a', do: 'await', with: { event: 'prepare' }, gives: { hasTime: true } },
      { update: 'ready' },
      { by: 'a', do: 'fail', with: { reason: 'it runs again' }, gives: 'failed' },
      { update: 'failed' },
      { by: 'a', do: 'leave', gives: 'left' },
      { update: 'cancel' },
    ],
  },
  {
    name: 'a participant that fails, and stays paused',
    steps: [
      { by: 'a', do: 'participate', with: { name: own, stuck: true }, gives: 'joined' },
      { update: 'begin' },
      { by: 'a', do: 'await', with: { event: 'cancelled' }, gives: { reason: 'not today' }, meanwhile: true },
      { update: 'staysPaused' },
      { update: 'failed' },
      { update: 'cancel' },
    ],
  },
]
