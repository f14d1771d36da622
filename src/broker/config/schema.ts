import { kindsWhere, type SourceKind, sourceKinds, sources } from '../../../protocol/source'
import { pathSchema, sizeSchema, uidSchema } from '../../../protocol/source/key'

/** The keys of a configuration file; the same object drives ajv and the messages. Sizes: bytes, or '64GiB'. */

/** Beside these keys a range has those of its source, in the form that the source's description gives. */
export interface RangeConfig {
  name: string
  source: SourceKind
  bytes: number | string
  align?: number | string
  table_bytes?: number | string
}

export interface OwnerConfig {
  user?: string
  uid?: number
  bytes_max?: number | string
  allocations_max?: number
  mappings_max?: number
  ranges?: string[]
  names?: string[]
  open_by_path?: boolean
}

export interface ConsoleConfig {
  listen?: string
  write?: boolean
  raw_view?: boolean
  viewers_max?: number
}

export interface ConfigFile {
  broker?: {
    socket?: string
    socket_mode?: string
    log_level?: string
    clients_max?: number
    clients_per_uid_max?: number
    strangers_max?: number
  }
  range: RangeConfig[]
  defaults?: Omit<OwnerConfig, 'user' | 'uid'>
  owner?: OwnerConfig[]
  admin?: { users?: string[]; uids?: number[] }
  revoke?: { grace_ms?: number; on_deadline?: 'quarantine' | 'kill' | 'take' }
  console?: ConsoleConfig
}

const size = (description: string) => ({ ...sizeSchema, description })
const path = (description: string) => ({ ...pathSchema, description })
const flag = (description: string) => ({ type: 'boolean', description })
const oneOf = (values: readonly string[], description: string) => ({ enum: values, description })
const count = (least: number, description: string) => ({ type: 'integer', minimum: least, description })
const listOf = (items: object, description: string) => ({ type: 'array', items, description })
const table = (description: string, properties: object, required: string[] = []) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
  description,
})

const text = { type: 'string', minLength: 1 }

const quota = {
  bytes_max: size('All its memory, in whole units of the range (align). Default: no limit.'),
  allocations_max: count(
    0,
    'Its allocations. Set it: they take room in the table, which all owners share. Default: no limit.',
  ),
  mappings_max: count(
    0,
    "Its mappings, and others' mappings of allocations that it shares. Set it for the same reason. Default: no limit.",
  ),
  ranges: listOf({ type: 'string' }, 'The ranges that it may use. Default: all.'),
  names: listOf(
    text,
    "The names that it may use; * stands for any text. Set it, so that nobody takes another's name. Default: any.",
  ),
  open_by_path: flag(
    'The broker gives it the files of its allocations, so that a program may open /proc/self/fd/N again, as QEMU does, and a ' +
      "directory range's file by its permanent path (broker-ctl show). " +
      "A file's owner can do more with it than with a descriptor alone. Default: false.",
  ),
}

/** The keys that only some sources have, each with its meaning for each source. */
function sourceKeys(): Record<string, object> {
  const schemas: Record<string, object> = {}
  const meanings: Record<string, Map<string, SourceKind[]>> = {}
  for (const kind of sourceKinds)
    for (const [name, { schema, help, isNeeded }] of Object.entries(sources[kind].keys)) {
      schemas[name] = schema
      meanings[name] ??= new Map()
      const meaning = `${isNeeded ? ', always needed' : ''}: ${help}`
      meanings[name].set(meaning, [...(meanings[name].get(meaning) ?? []), kind])
    }
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => {
      const meaning = [...meanings[name]!].map(([text, kinds]) => `${kinds.join(' and ')}${text}`)
      return [name, { ...schema, description: meaning.join(' ') }]
    }),
  )
}

/** Each key with its meaning; the set-up makes membroker.toml(5) from it. */
export const configSchema = table(
  '',
  {
    broker: table('The daemon itself.', {
      socket: path(
        'The path of the socket. If the service manager passes a socket, that one counts instead. Default: ' +
          '/run/membroker/broker.sock; not as root, membroker/broker.sock in $XDG_RUNTIME_DIR.',
      ),
      socket_mode: {
        type: 'string',
        pattern: '^0?[0-7]{3}$',
        description: 'Permissions of the socket, octal, as text. Default: "0666"; not as root, "0600".',
      },
      log_level: oneOf(
        ['trace', 'debug', 'info', 'warn', 'error', 'silent'],
        'How much the broker logs to standard error. A reload applies it. Default: "info".',
      ),
      clients_max: count(1, 'Connections at once; a VMM has two. A reload applies it. Default: 4096.'),
      clients_per_uid_max: count(
        1,
        'Connections of one uid at once. A reload applies it. Default: half of clients_max.',
      ),
      strangers_max: count(
        1,
        'Connections at once of all uids together that may have no memory, have none, and have no share; one such uid gets ' +
          'at most half of them. Each administrator and each [[owner]] has up to 16 of clients_max that nobody else can ' +
          'take. A reload applies it. Default: a sixteenth of clients_max, at least 16.',
      ),
    }),
    range: {
      type: 'array',
      minItems: 1,
      description:
        'Memory that the broker owns; at least one. The broker searches ranges for room in this order. A change waits for a restart.',
      items: table(
        '',
        {
          name: {
            type: 'string',
            pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$',
            description: 'Letters, digits, dots, underscores and hyphens, at most 63.',
          },
          source: oneOf(
            sourceKinds,
            `The kind of memory. ${sourceKinds.map(kind => `"${kind}": ${sources[kind].summary}`).join('; ')}.`,
          ),
          bytes: size(
            `Its size; at least 1 MiB, unless it is a ${kindsWhere(({ bytesMin }) => bytesMin !== undefined).join(' or ')}.`,
          ),
          align: size(
            'Allocations begin and end on multiples of this, a power of two of at least 4 KiB. Default: the page size of the memory.',
          ),
          table_bytes: size(
            'Room for the allocation table, a multiple of 4 KiB from 256 KiB to 2 GiB. It counts when the broker first uses ' +
              "the range; an existing table keeps its size. Default: by the range's size.",
          ),
          ...sourceKeys(),
        },
        ['name', 'source', 'bytes'],
      ),
    },
    defaults: table(
      'The limits of each uid without an [[owner]]. Without this table, such a uid gets no memory, and 64 mappings of ' +
        'allocations that are shared with it. All these uids together fill at most half of an allocation table. A reload ' +
        'applies it.',
      quota,
    ),
    owner: {
      type: 'array',
      description:
        'The limits of one uid; give either user or uid. An owner beyond a lowered limit keeps its memory. A reload applies it, but a ' +
        'restart takes open_by_path back.',
      items: table('', {
        user: { ...text, description: "A user's name on this host." },
        uid: { ...uidSchema, description: "The user's number." },
        ...quota,
      }),
    },
    admin: table(
      "Administrators, beside root and the broker's own uid: they see everything, freeze, reload, and may end others' " +
        'allocations. A reload applies it.',
      {
        users: listOf(text, 'Their names on this host.'),
        uids: listOf(uidSchema, 'Their numbers.'),
      },
    ),
    revoke: table('How the broker gets memory back from its holders. A reload applies it.', {
      grace_ms: {
        type: 'integer',
        minimum: 0,
        maximum: 86_400_000,
        description:
          'The time that a holder has to let go, in milliseconds, if the call does not give one. Default: 5000.',
      },
      on_deadline: oneOf(
        ['quarantine', 'kill', 'take'],
        'After that time: keep the memory out of use until the holder is gone, kill the holder (a process to which the broker gave a ' +
          `mapping, or one of the owner's), or (${kindsWhere(({ can }) => can.forcedRevoke).join(', ')}) take the memory away from under it; a hostile holder can race that and crash the kernel. Default: ` +
          '"quarantine".',
      ),
    }),
    console: table('The debug console. Without this table there is none. A change waits for a restart.', {
      listen: {
        type: 'string',
        description:
          'A loopback address and a port; from another host, use a tunnel. Default: "127.0.0.1:9464".',
      },
      write: flag('Whether the console may change anything. Default: false.'),
      raw_view: flag('Whether the console and broker-ctl may read the bytes of allocations. Default: false.'),
      viewers_max: {
        type: 'integer',
        minimum: 1,
        maximum: 64,
        description: 'Connections of pages at once; a page has two. Default: 16.',
      },
    }),
  },
  ['range'],
)
