/** What a configuration file may say; the same object drives ajv and the messages. Sizes: bytes, or '64GiB'. */

export interface RangeConfig {
  name: string
  source: 'directory' | 'memfd' | 'devdax' | 'devmem' | 'pci-bar'
  path?: string
  base?: number | string
  trusted_uids?: number[]
  table_path?: string
  bytes: number | string
  align?: number | string
  table_bytes?: number | string
  preallocate?: boolean
  huge_page?: number | string
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
  }
  range: RangeConfig[]
  defaults?: Omit<OwnerConfig, 'user' | 'uid'>
  owner?: OwnerConfig[]
  admin?: { users?: string[]; uids?: number[] }
  revoke?: { grace_ms?: number; on_deadline?: 'quarantine' | 'kill' }
  console?: ConsoleConfig
}

const size = {
  anyOf: [
    { type: 'integer', minimum: 0 },
    { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)? ?([KMGTP]i?B?|B)?$' },
  ],
  description: 'a size: bytes, or a string such as "64GiB"',
}
const address = {
  type: ['integer', 'string'],
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  pattern: '^0x[0-9a-fA-F]{1,13}$',
  description: 'a physical address: a number, or a string such as "0x100000000"',
}
const quota = {
  bytes_max: size,
  allocations_max: { type: 'integer', minimum: 0 },
  mappings_max: { type: 'integer', minimum: 0 },
  ranges: { type: 'array', items: { type: 'string' } },
  names: { type: 'array', items: { type: 'string', minLength: 1 } },
  open_by_path: { type: 'boolean' },
}
const table = (properties: object, required: string[] = []) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})

export const configSchema = table(
  {
    broker: table({
      socket: { type: 'string', pattern: '^/' },
      socket_mode: { type: 'string', pattern: '^0?[0-7]{3}$' },
      log_level: { enum: ['trace', 'debug', 'info', 'warn', 'error', 'silent'] },
      clients_max: { type: 'integer', minimum: 1 },
      clients_per_uid_max: { type: 'integer', minimum: 1 },
    }),
    range: {
      type: 'array',
      minItems: 1,
      items: table(
        {
          name: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$' },
          source: { enum: ['directory', 'memfd', 'devdax', 'devmem', 'pci-bar'] },
          path: { type: 'string', pattern: '^/' },
          base: address,
          trusted_uids: { type: 'array', items: { type: 'integer', minimum: 0 } },
          table_path: { type: 'string', pattern: '^/' },
          bytes: size,
          align: size,
          table_bytes: size,
          preallocate: { type: 'boolean' },
          huge_page: size,
        },
        ['name', 'source', 'bytes'],
      ),
    },
    defaults: table(quota),
    owner: {
      type: 'array',
      items: table({
        user: { type: 'string', minLength: 1 },
        uid: { type: 'integer', minimum: 0 },
        ...quota,
      }),
    },
    admin: table({
      users: { type: 'array', items: { type: 'string', minLength: 1 } },
      uids: { type: 'array', items: { type: 'integer', minimum: 0 } },
    }),
    revoke: table({
      grace_ms: { type: 'integer', minimum: 0, maximum: 86_400_000 },
      on_deadline: { enum: ['quarantine', 'kill'] },
    }),
    console: table({
      listen: { type: 'string' },
      write: { type: 'boolean' },
      raw_view: { type: 'boolean' },
      viewers_max: { type: 'integer', minimum: 1, maximum: 64 },
    }),
  },
  ['range'],
)
