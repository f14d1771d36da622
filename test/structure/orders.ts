/**
 * The rooms inside the large folders, from the ground up: each imports only what stands before it, and folders end with /.
 * What a room needs of one above it, it says by an interface of its own.
 */
export const orders: Record<string, string[]> = {
  protocol: [
    ...['units', 'error-text', 'toml', 'printable', 'system-reason'],
    ...['wire/', 'idl/', 'generate', 'generated/', 'methods'],
    ...['interfaces', 'update-phases', 'source/', 'kernel/', 'table/', 'columns'],
  ],
  'src/broker': [
    ...['version', 'refusal', 'log/', 'failure', 'bounded-text', 'slices', 'statistics'],
    ...['service/', 'lease/', 'allocator/', 'table/', 'worker/', 'config/', 'access/', 'source/', 'state/'],
    ...['session/', 'update/', 'contents/', 'revoke/', 'console/', 'broker', 'handler/', 'recover/'],
    ...['banner', 'command-line', 'main'],
  ],
  'src/client': [
    ...[
      'errors',
      'abort',
      'descriptor',
      'held-mapping',
      'backoff',
      'transport',
      'idle-connection',
      'reply',
      'link',
    ],
    ...[
      'options',
      'mapping',
      'revoke-listener',
      'client-state',
      'watch',
      'update',
      'verify',
      'administration',
    ],
    ...[
      'allocation',
      'warning',
      'participant',
      'rebuild',
      'broker',
      'socket-path',
      'connect',
      'index',
      'ctl/',
    ],
  ],
  'src/client/ctl': [
    ...[
      'terminal/',
      'table',
      'event-line',
      'exit',
      'user',
      'unless',
      'away',
      'executable',
      'placeholder',
      'verb',
      'remote',
    ],
    ...['arguments', 'map-spec', 'memory-path', 'verb-context', 'held-maps', 'launch', 'completion'],
    ...['host/', 'libvirt/', 'map/', 'top/', 'update/', 'vm/', 'verb/', 'program', 'main'],
  ],
  'src/page': ['format', 'signal', 'map/', 'link/', 'state/', 'command/', 'view/', 'main'],
  native: ['addon', 'own-package', 'load', 'functions', 'index', 'make-folder', 'lock-file'],
  man: ['roff', 'broker-ctl', 'membroker-toml', 'membroker-vm-toml', 'membrokerd', 'generate'],
  program: ['stack', 'start'],
}
