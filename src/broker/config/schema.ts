import { kindsWhere, type SourceKind, sourceKinds, sources } from '../../../protocol/source'
import { pathSchema, sizeSchema, uidSchema } from '../../../protocol/source/key'

/** What a configuration file may say; the same object drives ajv and the messages. Sizes: bytes, or '64GiB'. */

/** Beside these keys a range has those of its source, in the form that the source's description says. */
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
  bytes_max: size('Memory in all, in whole units of the range (align). Default: no limit.'),
  allocations_max: count(
    0,
    'Allocations. Set it: they take room in the table, which all owners share. Default: no limit.',
  ),
  mappings_max: count(
    0,
    'Mappings that it makes, and that others make of what it shares with them; set it for the same reason. Default: no limit.',
  ),
  ranges: listOf({ type: 'string' }, 'Names of the ranges it may have memory of. Default: all.'),
  names: listOf(
    text,
    'Names it may give, where * stands for any text: so that nobody takes a name that is meant for another. Default: any.',
  ),
  open_by_path: flag(
    'Its files are made its own, so that a program may open /proc/self/fd/N again, as QEMU does. Who owns a file can do ' +
      'more with it than with a descriptor alone. Default: false.',
  ),
}

/** The keys that only some sources have, each with what it means for which. */
function sourceKeys(): Record<string, object> {
  const schemas: Record<string, object> = {}
  const meanings: Record<string, Map<string, SourceKind[]>> = {}
  for (const kind of sourceKinds)
    for (const [name, { schema, help, isNeeded }] of Object.entries(sources[kind].keys)) {
      schemas[name] = schema
      meanings[name] ??= new Map()
      const meaning = `${isNeeded ? ', where it is needed' : ''}: ${help}`
      meanings[name].set(meaning, [...(meanings[name].get(meaning) ?? []), kind])
    }
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => {
      const meaning = [...meanings[name]!].map(([text, kinds]) => `${kinds.join(' and ')}${text}`)
      return [name, { ...schema, description: meaning.join(' ') }]
    }),
  )
}

/** Each key with its meaning: membroker.toml(5) is made from it. */
export const configSchema = table(
  '',
  {
    broker: table('The daemon itself.', {
      socket: path(
        'Where it listens. A socket of the service manager counts instead, where it gives one. Default: ' +
          '/run/membroker/broker.sock; not as root, membroker/broker.sock in $XDG_RUNTIME_DIR.',
      ),
      socket_mode: {
        type: 'string',
        pattern: '^0?[0-7]{3}$',
        description: 'Permissions of the socket, octal, as text. Default: "0666"; not as root, "0600".',
      },
      log_level: oneOf(
        ['trace', 'debug', 'info', 'warn', 'error', 'silent'],
        'How much is logged to standard error. Takes effect at a reload. Default: "info".',
      ),
      clients_max: count(1, 'Connections at once; a VMM has two. Takes effect at a reload. Default: 4096.'),
      clients_per_uid_max: count(
        1,
        'Connections of one uid at once. Takes effect at a reload. Default: half of clients_max.',
      ),
      strangers_max: count(
        1,
        'Connections at once of all uids together that may have no memory, have none, and are given no share of any; of ' +
          'one such uid, half. Each administrator and each [[owner]] has up to 16 of clients_max that nobody else can ' +
          'take. Takes effect at a reload. Default: a sixteenth of clients_max, at least 16.',
      ),
    }),
    range: {
      type: 'array',
      minItems: 1,
      description:
        'Memory that the broker owns; at least one. Ranges are searched for room in this order. A change waits for a restart.',
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
            `How its memory is got at. ${sourceKinds.map(kind => `"${kind}": ${sources[kind].summary}`).join('; ')}.`,
          ),
          bytes: size(
            `How large it is; at least 1 MiB, unless it is a ${kindsWhere(({ bytesMin }) => bytesMin !== undefined).join(' or ')}.`,
          ),
          align: size(
            'Allocations begin and end on multiples of this, a power of two of at least 4 KiB. Default: the page size of the memory.',
          ),
          table_bytes: size(
            'Room for the allocation table, a multiple of 4 KiB from 256 KiB to 2 GiB. It counts when the range is first ' +
              "used; the size of a table that is there stays. Default: by the range's size.",
          ),
          ...sourceKeys(),
        },
        ['name', 'source', 'bytes'],
      ),
    },
    defaults: table(
      'What each uid without an [[owner]] of its own may have. Without it: no memory, and 64 mappings of what is shared with ' +
        'it. All these uids together fill at most half of an allocation table. Takes effect at a reload.',
      quota,
    ),
    owner: {
      type: 'array',
      description:
        'What one uid may have; either user or uid says whose. What it has beyond a lowered limit stays. Takes effect at a reload.',
      items: table('', {
        user: { ...text, description: 'A name of this host.' },
        uid: { ...uidSchema, description: 'The number.' },
        ...quota,
      }),
    },
    admin: table(
      "Who administers the broker, beside root and the broker's own uid: sees everything, freezes, reloads, ends what is " +
        "others'. Takes effect at a reload.",
      {
        users: listOf(text, 'Names of this host.'),
        uids: listOf(uidSchema, 'Numbers.'),
      },
    ),
    revoke: table('How memory comes back from who has it. Takes effect at a reload.', {
      grace_ms: {
        type: 'integer',
        minimum: 0,
        maximum: 86_400_000,
        description:
          'How long a holder is given to let go, in milliseconds, where who asks does not say. Default: 5000.',
      },
      on_deadline: oneOf(
        ['quarantine', 'kill', 'take'],
        'And then: leave the memory out of use until the holder is gone, kill the holder (a process that the broker gave a ' +
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
      write: flag('Whether it may change anything. Default: false.'),
      raw_view: flag(
        'Whether it, and broker-ctl read, may look at the bytes of allocations. Default: false.',
      ),
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
